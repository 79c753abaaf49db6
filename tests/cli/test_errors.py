"""Exit status and wording of every kind of error, and the option that a library error is about."""

from __future__ import annotations

import click
import pytest

from flowise_telemetry_cli.errors import FAILED, INCOMPLETE, MISUSE, message_of, report_error, status_of
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.main import cli
from flowise_telemetry_consumer import SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError, SchemaError, TelemetryError


def invocation(*path: str) -> Invocation:
    """An invocation of the command with this path, such as ``replay`` and ``list``."""
    found = Invocation()
    group: click.Command = cli
    for name in path:
        assert isinstance(group, click.Group)
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found.commands.append(command)
        group = command
    return found


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (click.UsageError("Missing option '--sink'."), MISUSE, "flowise-telemetry: Missing option '--sink'. (see"),
        (click.ClickException("a file\ncannot be read"), FAILED, "a file cannot be read"),
        (click.Abort(), FAILED, "interrupted"),
        (ConfigurationError("a wrong\n setting"), MISUSE, "a wrong setting"),
        (MissingExtraError("polars", "consumer"), FAILED, "polars is not installed: pip install"),
        (SchemaError("no such event"), FAILED, "no such event"),
        (SinkUnavailableError("the sink is away"), FAILED, "the sink is away"),
        (KeyError("secret"), FAILED, "internal error: KeyError at "),
    ],
)
def test_each_error_has_its_status_and_one_line(
    error: Exception, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)) as raised:
        raise error
    assert report_error(raised.value, invocation("consume")) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {line}")
    assert printed.err.count("\n") == 1
    assert "secret" not in printed.err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SinkUnavailableError("the sink is away"), INCOMPLETE),
        (SinkInUseError("another process has it"), INCOMPLETE),
        (TelemetryError("no broker answers", retryable=True), INCOMPLETE),
        (SinkError("wrong password"), FAILED),
        (ConfigurationError("no such partition"), MISUSE),
    ],
)
@pytest.mark.parametrize("path", [("replay",), ("replay", "resume")])
def test_a_replay_that_can_be_started_again_is_incomplete(path: tuple[str, ...], error: Exception, status: int) -> None:
    assert status_of(error, invocation(*path)) == status
    said = message_of(error, invocation(*path))
    assert said == (f"incomplete: {error}: it can be started again" if status == INCOMPLETE else str(error))


@pytest.mark.parametrize(
    ("path", "argument", "option"),
    [
        (("replay",), "begin", "--from"),
        (("replay",), "end", "--to"),
        (("replay",), "partitions", "--partition"),
        (("replay",), "shard", "--shard"),
        (("replay",), "events", "--event"),
        (("replay",), "where", "--where"),
        (("replay",), "staging", "--staging"),
        (("replay",), "workers", "--workers"),
        (("replay",), "restart", "--restart"),
        (("replay",), "sink", "--sink"),
        (("replay",), "topic", "--topic"),
        (("replay",), "bootstrap_servers", "--bootstrap-servers"),
        (("replay", "resume"), "shard", "--shard"),
        (("replay", "resume"), "run_id", "ID"),
        (("replay", "resume"), "restart", "--restart"),  # an option of the group
        (("dlq", "redrive"), "group", "--group"),
        (("dlq", "redrive"), "reasons", "--reason"),
        (("dlq", "redrive"), "new_sink", "--new-sink"),
        (("dlq", "redrive"), "max_letters", "--max"),
        (("compact",), "sink", "--sink"),
        (("consume",), "http_address", "--http-address"),
    ],
)
def test_an_argument_of_the_library_is_an_option_of_the_command(
    path: tuple[str, ...], argument: str, option: str
) -> None:
    error = ConfigurationError("the range is empty", argument=argument)
    assert message_of(error, invocation(*path)) == f"{option}: the range is empty"


def test_an_argument_without_an_option_is_left_out() -> None:
    error = ConfigurationError("the window is too small", argument="window_records")
    assert message_of(error, invocation("consume")) == "the window is too small"
