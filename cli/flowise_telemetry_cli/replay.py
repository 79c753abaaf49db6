"""``flowise-telemetry replay``: what the topic holds, into a new sink."""

from __future__ import annotations

import json
from contextlib import ExitStack

import click

from flowise_telemetry_cli.connection import CLOSE_SECONDS, connection_options, kafka_settings, topic_option
from flowise_telemetry_cli.exit_status import DONE, INCOMPLETE
from flowise_telemetry_cli.progress_line import ProgressLine
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_cli.table import table
from flowise_telemetry_consumer import ReplayResult
from flowise_telemetry_consumer import replay as replay_topic
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import open_reader

__all__ = ["replay"]


@click.command()
@connection_options
@topic_option
@click.option("--sink", required=True, metavar="URL", help="Where to; see consume --help for the URLs.")
@click.option(
    "--no-progress-seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Give up, incomplete, when nothing moved for so long.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.pass_context
def replay(ctx: click.Context, *, topic: str, sink: str, no_progress_seconds: float, as_json: bool) -> int:
    """Write everything that the topic holds now into a sink, beside the live consumers.

    What the sink has already stays as it is, so a replay may be repeated. Records that are no valid events are counted,
    and not dead-lettered a second time. Exit status 3: the end was not reached; run it again to go on.

    \b
    Example:
      flowise-telemetry replay --bootstrap-servers localhost:9092 --sink sqlite:///copy.db
    """
    settings = kafka_settings(ctx)
    with ExitStack() as opened:
        target = open_sink(sink)
        opened.callback(target.close)
        reader = open_reader(settings)
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        line = opened.enter_context(ProgressLine())
        stop = opened.enter_context(stopped_by_signals())
        click.echo(f"replaying {topic} into {target.url}", err=True)
        result = replay_topic(
            reader,
            target,
            catalog(),
            topic,
            no_progress_seconds=no_progress_seconds,
            stop=stop,
            on_progress=lambda now: line.show(_summary(now)),
        )
    _report(result, as_json)
    if result.complete:
        return DONE
    click.echo(f"error: incomplete: {result.incomplete}", err=True)
    return INCOMPLETE


def _summary(result: ReplayResult) -> str:
    done, total = result.offsets_read, result.offsets
    share = 100 * done // total if total else 100
    return f"replayed {done:,} of {total:,} offsets ({share} %), written {result.written.total():,}"


def _report(result: ReplayResult, as_json: bool) -> None:
    if as_json:
        partitions = {
            str(tp.partition): {
                "start": part.start,
                "end": part.end,
                "position": part.position,
                "written": part.written,
                "already_there": part.already_there,
                "dead": part.dead,
                "gaps": part.gaps,
            }
            for tp, part in sorted(result.partitions.items())
        }
        document = {
            "topic": result.topic,
            "complete": result.complete,
            "written": dict(+result.written),
            "already_there": dict(+result.already_there),
            "dead": dict(+result.dead),
            "partitions": partitions,
        }
        click.echo(json.dumps(document))
        return
    head = ("partition", "offsets read", "of", "written", "already there", "invalid", "gaps")
    rows = [
        (
            tp.partition,
            part.position - part.start,
            part.end - part.start,
            part.written,
            part.already_there,
            part.dead,
            part.gaps,
        )
        for tp, part in sorted(result.partitions.items())
    ]
    click.echo(table(head, rows))
    events = sorted({*result.written, *result.already_there})
    if events:
        click.echo()
        lines = [(event, result.written[event], result.already_there[event]) for event in events]
        click.echo(table(("event", "written", "already there"), lines))
