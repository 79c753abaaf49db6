"""``flowise-telemetry tail``: the topic as it grows, decoded."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from flowise_telemetry_cli.commands.replay._options import filter_options, request_of
from flowise_telemetry_cli.errors import DONE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    CLOSE_SECONDS,
    connection_options,
    json_option,
    kafka_settings,
    require_topic,
    schemas_option,
    topic_option,
)
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.reading_catalog import reading_catalog
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer.replay import Bound, ReplayRequest, time_text
from flowise_telemetry_consumer.replay.bounds import moment_ms
from flowise_telemetry_consumer.replay.following import Followed, follow
from flowise_telemetry_consumer.replay.offsets import resolve
from flowise_telemetry_transport import RecordReader, TopicPartition

__all__ = ["tail"]

_ENVELOPE = ("eventId", "occurredAt", "version", "streamId", "sequence")


@click.command()
@connection_options
@topic_option
@schemas_option
@click.option("--since", metavar="WHEN", help="Begin at a time or an age: 2026-01-31T12:00Z, 10m.  [default: now]")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record that the topic has.")
@click.option("-n", "--max", "most", type=click.IntRange(min=1), metavar="COUNT", help="End after so many records.")
@filter_options
@json_option("Print one JSON object a line.")
@pass_invocation
def tail(
    invocation: Invocation,
    /,
    *,
    topic: str,
    since: str | None,
    from_beginning: bool,
    most: int | None,
    as_json: bool,
    **chosen: Any,
) -> int:
    """Show the events of the topic as they arrive, until Ctrl-C, SIGTERM or the end of whatever reads the output.

    No consumer group is joined and nothing is committed. A record that is no valid event is one line with the reason,
    and left out where --app-version, --instance or --where ask for values.

    \b
    Example:
      flowise-telemetry tail --bootstrap-servers localhost:9092
      flowise-telemetry tail --since 10m --event prediction_sent --json | jq .properties.version
    """
    if since is not None and from_beginning:
        raise click.UsageError("--since and --from-beginning exclude each other.")
    request = request_of(invocation.catalog, topic=topic, **chosen)
    if since is not None:
        now_ms = time.time_ns() // 1_000_000
        request = dataclasses.replace(
            request, begin=Bound(since, time_ms=moment_ms(since, now_ms=now_ms, argument="since"))
        )
    catalog = reading_catalog(invocation.catalog)
    reader = invocation.open_reader(kafka_settings(invocation))
    try:
        require_topic(reader, topic)
        starts = _starts(reader, request, from_now=since is None and not from_beginning)
        begin = since or ("the beginning" if from_beginning else "now")
        echo(f"{topic}: {len(starts)} partition{'s' * (len(starts) > 1)} from {begin} on; Ctrl-C ends this", err=True)
        with stopped_by_signals() as stop:
            for batch in follow(reader, catalog, starts, request.record_filter, stop=stop, clock=invocation.clock):
                for followed in batch[:most]:
                    echo(_json(followed) if as_json else _line(followed))
                if most is not None:
                    most -= len(batch)
                    if most <= 0:
                        break
    except BrokenPipeError:
        # As with ``| head``: who reads the output has seen enough. Nothing may be written to it at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
    return DONE


def _starts(reader: RecordReader, request: ReplayRequest, *, from_now: bool) -> Mapping[TopicPartition, int]:
    offsets = resolve(reader, request).offsets
    return offsets.ends if from_now else offsets.starts


def _json(followed: Followed) -> str:
    record, letter = followed.record, followed.letter
    place = {"partition": record.partition, "offset": record.offset, "timestamp": time_text(record.timestamp_ms)}
    if letter is None:
        return json.dumps({**place, **(followed.event or {})})
    bad = {"reason": letter.reason, "stage": letter.stage, "schema": letter.schema, "field": letter.field}
    return json.dumps({**place, "bad": {**bad, "message": letter.message}})


def _line(followed: Followed) -> str:
    record, letter = followed.record, followed.letter
    place = f"[{record.partition}]@{record.offset}"
    if letter is not None or followed.event is None:
        why = "" if letter is None else f"{letter.reason}: {letter.message}"
        return f"{time_text(record.timestamp_ms)} {place} not an event: {why}"
    its = followed.event["properties"]
    shown = " ".join(
        f"{name}={_short(value)}" for name, value in its.items() if name not in _ENVELOPE and value is not None
    )
    return f"{its['occurredAt']} {place} {followed.event['event']} {its.get('version', '')} {shown}"


def _short(value: object) -> str:
    """Return a value in a word: of a graph or a list the sizes."""
    match value:
        case dict():
            return ",".join(f"{name}:{_short(inner)}" for name, inner in value.items())
        case list():
            return str(len(value))
        case bool():
            return str(value).lower()
        case _:
            return str(value)
