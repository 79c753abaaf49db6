"""``flowise-telemetry doctor``: everything that has to be right, looked at in the order in which it is needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource

from flowise_telemetry_cli.commands._choice import env_file_option
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import connection_options, json_option, schemas_option, topic_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_transport.diagnosis.finding import Finding
from flowise_telemetry_transport.diagnosis.topics import Needs
from flowise_telemetry_transport.topics import dead_letter_topic_of

__all__ = ["doctor"]

_TOPIC = "FLOWISE_TELEMETRY_TOPIC"
_WIDTH = 25


@click.command()
@click.argument("side", type=click.Choice(["app", "consume", "replay", "redrive"]), required=False)
@connection_options
@topic_option
@schemas_option
@env_file_option
@click.option(
    "--sink",
    envvar="FLOWISE_TELEMETRY_CONSUME_SINK",
    show_envvar=True,
    metavar="URL",
    help="Sink that consume writes to.  [default: that of consume]",
)
@click.option(
    "--group",
    envvar="FLOWISE_TELEMETRY_CONSUME_GROUP",
    show_envvar=True,
    help="Consumer group.  [default: that of consume]",
)
@click.option(
    "--dead-letter-topic",
    envvar="FLOWISE_TELEMETRY_CONSUME_DEAD_LETTER_TOPIC",
    show_envvar=True,
    help="Topic of the dead letters.  [default: the topic's name with .dlq]",
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for all checks together; what is left then is not tried.",
)
@json_option("Print one JSON object.")
@pass_invocation
@click.pass_context
def doctor(
    context: click.Context,
    invocation: Invocation,
    *,
    side: str | None,
    topic: str,
    env_file: Path | None,
    sink: str | None,
    group: str | None,
    dead_letter_topic: str | None,
    timeout_seconds: float,
    as_json: bool,
) -> int:
    """Check everything that an app, or one of the commands that read, needs: one line a check, with what mends it.

    SIDE is app, consume, replay or redrive (dlq redrive and discard); without it, consume where a sink, a group or a
    dead-letter topic is given, else app. Nothing is changed: no topic is made, no record written, no group joined, no
    file left.

    Exit status 1: a check failed. A warning is no failure.

    \b
    Example:
      flowise-telemetry doctor
      flowise-telemetry doctor consume --sink postgresql://user@host/telemetry
    """
    side = side or ("consume" if sink or group or dead_letter_topic else "app")
    course = Course(time.monotonic() + timeout_seconds, (lambda finding: None) if as_json else _show)
    option_of = _options_of(context)
    if not as_json:
        echo(f"as {'the app' if side == 'app' else side} would be started here:")
    if side == "app":
        from flowise_telemetry_cli.commands.doctor._app import look_at_app

        typed = {name: text for name, text in invocation.connection.items() if option_of(name)}
        look_at_app(
            course,
            invocation,
            env_file=env_file,
            typed=typed | ({_TOPIC: topic} if option_of(_TOPIC) else {}),
            option_of=option_of,
        )
    else:
        from flowise_telemetry_cli.commands.consume import DEFAULT_SINK  # loads polars
        from flowise_telemetry_cli.commands.doctor._service import look_at_service
        from flowise_telemetry_consumer.service.settings import DEFAULT_GROUP

        needs = _needs(side, topic, group or DEFAULT_GROUP, dead_letter_topic or dead_letter_topic_of(topic))
        look_at_service(course, invocation, needs=needs, topic=topic, sink=sink or DEFAULT_SINK, option_of=option_of)
    _end(course, side, as_json=as_json)
    return FAILED if course.count("failed") else DONE


def _needs(side: str, topic: str, group: str, letters: str) -> Needs:
    """Return what the command needs: the least rights of docs/security.md."""
    if side == "replay":
        return Needs(topic, ("Read",))
    if side == "redrive":
        return Needs(dead_letter_topic=letters, dead_letter_operations=("Read", "Write"))
    return Needs(topic, ("Read",), group, letters, ("Write",))


def _options_of(context: click.Context) -> Callable[[str], str | None]:
    """Return a look-up of the option that set a variable on the command line."""
    typed = {
        str(parameter.envvar): parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    }
    return typed.get


def _show(finding: Finding) -> None:
    state = finding.state.upper() if finding.state == "failed" else finding.state
    echo(f"{state:<9} {finding.name:<{_WIDTH}} {finding.line}".rstrip())


def _end(course: Course, side: str, *, as_json: bool) -> None:
    counts = {state.replace(" ", "_"): course.count(state) for state in ("ok", "warning", "failed", "not tried")}
    if as_json:
        checks = [asdict(each) for each in course.found]
        echo(json.dumps({"side": side, "well": not counts["failed"], **counts, "checks": checks}))
    else:
        wrong = ", ".join(dict.fromkeys(each.name for each in course.found if each.state == "failed"))
        others = (f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count and name != "failed")
        echo(f"{f'failed: {wrong}; ' if wrong else ''}{', '.join(others)}")
