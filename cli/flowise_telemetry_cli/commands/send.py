"""``flowise-telemetry send``: events from a file or a pipe, one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import click
from click.core import ParameterSource

from flowise_telemetry import Telemetry
from flowise_telemetry.app_version import NOT_A_VERSION, normalized_version
from flowise_telemetry.environment import BOOTSTRAP_SERVERS, ENDPOINT, PROJECT_KEY, PROJECT_KEY_FILE
from flowise_telemetry_cli.errors import DONE, FAILED, INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import connection_options, json_option, kafka_settings, schemas_option, topic_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog, Event, ValidationError, event_from_json
from flowise_telemetry_schemas.codec import MAX_VALUE_BYTES
from flowise_telemetry_transport.gateway.check import why_unusable
from flowise_telemetry_transport.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from flowise_telemetry import Stats

__all__ = ["send"]

FLUSH_EVERY_EVENTS = 1_000
"""Well below the producer's buffer, so that a long file cannot fill it and lose events."""
FLUSH_TIMEOUT_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_LASTING_SECONDS = 3.0
"""Time for which a failure has to last: a topic that was just made is unknown for a moment."""


@dataclass(slots=True)
class _Rejected:
    lines: int = 0

    def report(self, line: int, problem: str) -> None:
        """Say on stderr what is wrong with a line, and count it."""
        self.lines += 1
        echo(f"line {line}: {problem}", err=True)


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@connection_options
@topic_option
@click.option(
    "--endpoint",
    envvar=ENDPOINT,
    metavar="URL",
    show_envvar=True,
    help="A gateway in place of the brokers; its topic counts.",
)
@click.option(
    "--project-key-file",
    envvar=PROJECT_KEY_FILE,
    metavar="FILE",
    show_envvar=True,
    help=f"The key for the gateway, in a file; {PROJECT_KEY} holds the key itself.",
)
@schemas_option
@click.option("--app-version", help="Version of the app, for lines without one.")
@json_option("Print the counts as one JSON object.")
@pass_invocation
def send(
    invocation: Invocation,
    *,
    file: IO[bytes],
    topic: str,
    endpoint: str | None,
    project_key_file: str | None,
    app_version: str | None,
    as_json: bool,
) -> int:
    """Send the events of a FILE, or of standard input: one JSON object a line.

    Each invalid line is reported on stderr with its field and rule; the others are sent. A value that must not leave
    costs no line: it is withheld, and counted by field and rule. Exit status: 0 all were sent,
    1 a line was rejected, 3 events were not delivered or telemetry is off.

    \b
    Example:
      echo '{"event": "tool_created", "properties": {"version": "3.0.1",
        "toolId": "0b7ac60e-51a4-4bb5-a6a5-f1ae0fd1cf8f", "toolName": "get_weather"}}' \\
        | tr -d '\\n' | flowise-telemetry send --bootstrap-servers localhost:9092
    """
    if app_version is not None and normalized_version(app_version) is None:
        raise click.BadParameter(NOT_A_VERSION, param_hint="--app-version")
    environ = {**os.environ, **invocation.connection}
    by_option = [name for name in (BOOTSTRAP_SERVERS, ENDPOINT) if _is_option(name)]
    if len(by_option) == 1:  # a connection comes whole from one source
        (other,) = {BOOTSTRAP_SERVERS, ENDPOINT}.difference(by_option)
        environ.pop(other, None)
    gateway = settings = None
    if endpoint and by_option != [BOOTSTRAP_SERVERS]:
        environ[ENDPOINT] = endpoint
        if project_key_file:
            environ[PROJECT_KEY_FILE] = project_key_file
        gateway = GatewaySettings.from_env(environ)
    else:
        settings = kafka_settings(invocation)
    telemetry = Telemetry(
        app_version=app_version or "0.0.0",  # every event that is sent then has its own
        bootstrap_servers=None if settings is None else settings.servers_text,
        topic=topic,
        environ=environ,
        schemas=None if invocation.own_events is None else invocation.own_events.place,
    )
    if not telemetry.consent.enabled:
        echo(f"error: telemetry is off ({telemetry.consent.decided_by}): nothing was sent", err=True)
        return INCOMPLETE
    # Fails at once, with a clear message, when nobody answers.
    if settings is not None:
        invocation.open_admin(settings).close()
    if gateway is not None and (reason := why_unusable(gateway)) is not None:
        raise reason
    rejected = _Rejected()
    waiting = 0
    for event in _events(file, rejected, app_version is not None, invocation.catalog):
        telemetry.send_telemetry(event)
        waiting += 1
        if waiting == FLUSH_EVERY_EVENTS:
            if not flush_while_it_helps(telemetry):
                echo("error: the rest of the input was not read", err=True)
                break
            waiting = 0
    flush_while_it_helps(telemetry)
    telemetry.close()
    return _report(telemetry.stats(), rejected.lines, as_json)


def _is_option(variable: str) -> bool:
    """Return True if the option of this variable was typed."""
    context = click.get_current_context()
    name = next(each.name for each in context.command.params if getattr(each, "envvar", None) == variable)
    return name is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def flush_while_it_helps(telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> bool:
    """Flush for as long as ``FLUSH_TIMEOUT_SECONDS``; return False once what fails is not mended by waiting."""
    end = clock() + FLUSH_TIMEOUT_SECONDS
    lasts_since: float | None = None
    while (now := clock()) < end:
        if telemetry.flush(timeout_seconds=min(_LOOK_SECONDS, end - now)):
            return True
        if not telemetry.stats().error_lasts:
            lasts_since = None
        elif lasts_since is None:
            lasts_since = clock()
        elif clock() - lasts_since >= _LASTING_SECONDS:
            return False
    return True


def _events(file: IO[bytes], rejected: _Rejected, has_version: bool, schemas: Catalog) -> Iterator[Event]:
    number = 0
    while line := file.readline(MAX_VALUE_BYTES + 1):
        number += 1
        if len(line) > MAX_VALUE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_VALUE_BYTES)
            rejected.report(number, f"longer than {MAX_VALUE_BYTES} bytes")
            continue
        if not line.strip():
            continue
        try:
            event = event_from_json(json.loads(line), bounds=False, schemas=schemas)
        except ValidationError as error:
            rejected.report(number, f"{error.event}: {error}" if error.event else str(error))
            continue
        except (ValueError, RecursionError) as error:
            position = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            rejected.report(number, f"not JSON{position}")
            continue
        if event.version is None and not has_version:
            rejected.report(number, f"{event.EVENT}: version: is missing (or give --app-version)")
            continue
        if event.version is not None and normalized_version(event.version) is None:
            rejected.report(number, f"{event.EVENT}: version: is no version, such as 3.0.1, 3.0.1rc1 or v3.0.1-rc.1")
            continue
        yield event


def _report(stats: Stats, rejected: int, as_json: bool) -> int:
    undelivered = stats.accepted + stats.refused - stats.sent
    if undelivered and stats.last_error is not None:
        echo(f"error: not delivered: {stats.last_error}", err=True)
    counts = {"sent": stats.sent, "rejected": rejected, "undelivered": undelivered}
    if stats.withheld:
        counts["withheld"] = sum(stats.withheld.values())
        for value, times in stats.withheld.items():
            echo(f"withheld {times}: {value}", err=True)
    echo(json.dumps(counts) if as_json else ", ".join(f"{name} {count}" for name, count in counts.items()))
    if undelivered:
        return INCOMPLETE
    return FAILED if rejected else DONE
