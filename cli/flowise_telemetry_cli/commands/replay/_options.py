"""Options that the commands of ``replay`` share, and the request that they describe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flowise_telemetry_cli.options import SINK_HELP, json_option
from flowise_telemetry_consumer import Bound, RecordFilter, ReplayRequest, Shard
from flowise_telemetry_consumer.sinks.refusals import ON_REFUSED
from flowise_telemetry_schemas import Catalog

__all__ = [
    "allow_missing_option",
    "filter_options",
    "no_progress_option",
    "on_refused_option",
    "range_options",
    "request_of",
    "result_option",
    "shard_of",
    "sink_option",
    "workers_option",
]

_JOB_INDEX = "JOB_COMPLETION_INDEX"

_Command = TypeVar("_Command", bound=Callable[..., Any])

no_progress_option = click.option(
    "--no-progress-seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Give up, incomplete, when no offset was read for this long.",
)
allow_missing_option = click.option(
    "--allow-missing",
    is_flag=True,
    help="Succeed even if retention deleted part of the range, or an open transaction holds it back.",
)
on_refused_option = click.option(
    "--on-refused",
    type=click.Choice(ON_REFUSED),
    default="wait",
    show_default=True,
    help="What to do with a row that a rule of the sink refuses: wait, as for an outage, or count at most 1,000 as dead"
    " letters and leave them out.",
)
result_option = json_option("Print the result as one JSON object.")
workers_option = click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the partitions."
)


def _own_or_of_group(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    value = value or (ctx.parent.params.get("sink") if ctx.parent is not None else None)
    if value is None:
        raise click.MissingParameter(ctx=ctx, param=param)
    return value


sink_option = click.option("--sink", metavar="URL", help=SINK_HELP, callback=_own_or_of_group)
"""The sink of the subcommands; ``replay --sink URL list`` works too."""

_FILTER_OPTIONS = (
    click.option(
        "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this partition; repeatable."
    ),
    click.option("--event", "events", multiple=True, metavar="NAME", help="Only events of this name; repeatable."),
    click.option(
        "--app-version", "versions", multiple=True, help="Only events from this version of the app; repeatable."
    ),
    click.option(
        "--instance", "instances", multiple=True, metavar="ID", help="Only events from this installation; repeatable."
    ),
    click.option(
        "--where",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Only events with this value in a field that all events have; repeatable.",
    ),
)
_RANGE_OPTIONS = (
    click.option("--from", "begin", metavar="WHEN", help="First offset or time: 1200, 2026-01-31T12:00Z, 2d ago."),
    click.option(
        "--to",
        "end",
        metavar="WHEN",
        help="Offset or time to stop before.  [default: the topic's end when the replay starts]",
    ),
    *_FILTER_OPTIONS,
)


def range_options(command: _Command) -> _Command:
    """Add the options that choose records, which ``request_of`` takes."""
    for option in reversed(_RANGE_OPTIONS):
        command = option(command)
    return command


def filter_options(command: _Command) -> _Command:
    """Add those that choose records but for the ends of the range."""
    for option in reversed(_FILTER_OPTIONS):
        command = option(command)
    return command


def shard_of(text: str | None, count: int | None) -> Shard | None:
    """Return the shard of ``--shard``, or of this pod of a Kubernetes Indexed Job; None if one process does all."""
    if text is not None:
        return Shard.parse(text)
    if count is None:
        return None
    index = os.environ.get(_JOB_INDEX, "")
    if not index.isdecimal() or int(index) >= count:
        raise click.UsageError(
            f"--shard-count {count} needs {_JOB_INDEX} from 0 to {count - 1}; it is {index or 'not set'}."
        )
    return Shard(int(index) + 1, count)


def request_of(
    schemas: Catalog,
    *,
    topic: str,
    begin: str | None = None,
    end: str | None = None,
    partitions: tuple[int, ...],
    events: tuple[str, ...],
    versions: tuple[str, ...],
    instances: tuple[str, ...],
    where: tuple[str, ...],
) -> ReplayRequest:
    """Return the request that the options describe. Raises ``ConfigurationError``, ``UsageError``."""
    conditions = [*(("version", value) for value in versions), *(("instanceId", value) for value in instances)]
    for condition in where:
        name, equals, value = condition.partition("=")
        if not equals:
            raise click.UsageError(f"--where {condition!r} is not of the form FIELD=VALUE.")
        conditions.append((name.strip(), value.strip()))
    now_ms = time.time_ns() // 1_000_000
    return ReplayRequest(
        topic=topic,
        begin=None if begin is None else Bound.parse(begin, now_ms=now_ms, argument="begin"),
        end=None if end is None else Bound.parse(end, now_ms=now_ms, argument="end"),
        partitions=partitions,
        record_filter=RecordFilter.of(schemas, events=events, where=conditions),
    )
