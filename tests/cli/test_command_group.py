"""Commands as files: their listing, their lazy import, and the environment twins of their options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import flowise_telemetry_cli.commands as package
from flowise_telemetry_cli.main import cli
from tests.cli.in_process import run_command
from tests.cli.test_help import COMMANDS

FOLDER = Path(package.__file__).parent


def test_each_file_of_the_folder_is_a_command() -> None:
    files = {path.stem for path in FOLDER.iterdir() if path.stem[0] not in "_."}
    assert set(cli.list_commands(click.Context(cli))) == files


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["schemas", "list"], ["preview"], ["dlq", "--help"]])
def test_no_command_waits_for_what_it_does_not_need(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from flowise_telemetry_cli.main import run; status = run(sys.argv[1:]);"
        "sys.exit(status or str(sorted({'polars', 'rich', 'kafka', 'confluent_kafka'} & sys.modules.keys())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("group", [(), ("dlq",), ("replay",), ("schemas",), ("topics",)])
def test_the_help_of_a_group_has_the_first_sentence_of_each_command(group: tuple[str, ...], tmp_path: Path) -> None:
    shown = run_command(*group, "--help", folder=tmp_path).stdout.partition("\nCommands:\n")[2]
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    assert lines
    for name, text in lines:
        path = " ".join(("flowise-telemetry", *group, name))
        help_text = " ".join((COMMANDS[path].help or "").split()) if path in COMMANDS else None
        assert help_text is None or help_text.startswith(text.removesuffix("...").removesuffix("."))


@pytest.mark.parametrize(
    ("arguments", "variable", "value", "said"),
    [
        (("replay", "--sink", "sqlite:///a.db"), "REPLAY_FROM", "tomorrow", "'tomorrow' is not a bound"),
        (("replay", "--sink", "sqlite:///a.db"), "REPLAY_SHARD", "5/4", "give number/count"),
        (("replay", "resume", "x", "--sink", "sqlite:///a.db"), "REPLAY_RESUME_SHARD", "5/4", "give number/count"),
        (("dlq", "show"), "DLQ_SHOW_MAX", "0", "Invalid value for '--max'"),
        (("topics", "create"), "TOPICS_CREATE_RETENTION_DAYS", "0", "Invalid value for '--retention-days'"),
    ],
)
def test_an_option_has_the_environment_twin_of_its_name(
    tmp_path: Path, arguments: tuple[str, ...], variable: str, value: str, said: str
) -> None:
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1", f"FLOWISE_TELEMETRY_{variable}": value}
    done = run_command(*arguments, folder=tmp_path, env=environ)
    assert (done.status, done.stdout) == (2, "")
    assert said in done.errors[-1]
