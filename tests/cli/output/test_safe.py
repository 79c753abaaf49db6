"""Nothing that the commands print controls the terminal."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowise_telemetry_cli
from flowise_telemetry_cli.errors import message_of
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.output.logging import LOG_FORMATS, LogFormat, formatter_of
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_schemas.printable import printable, printable_lines

ESCAPES = ["\x1b[2J", "\x1b]0;x\x07", "\x9b1m", "\x7f", "\u202ex", "a\u2028b", "\ud800", "\r", "\x00", "\ufeff"]


@given(text=st.text(st.characters()))
def test_what_is_printable_stays_and_the_rest_is_escaped(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert json.loads(f'"{printable(json.dumps(text, ensure_ascii=False)[1:-1])}"') == text
    assert printable_lines(text).count("\n") == text.count("\n")


def test_words_of_every_language_stay() -> None:
    text = "Füße 漢字 עברית 🙂 a\\b"
    assert printable(text) == text


@pytest.mark.parametrize("escape", ESCAPES)
def test_every_way_out(escape: str, capfd: pytest.CaptureFixture[str]) -> None:
    echo(f"a{escape}b")
    echo(f"a{escape}b", err=True)
    echo(table(("head",), [(f"a{escape}\nb",)]))
    echo(message_of(TelemetryError(f"a{escape}b"), Invocation()))
    shown = capfd.readouterr()
    assert escape not in shown.out + shown.err
    assert shown.out.count("\n") == 4


@pytest.mark.parametrize("log_format", LOG_FORMATS)
@pytest.mark.parametrize("escape", ESCAPES)
def test_log_lines(escape: str, log_format: LogFormat) -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "a%sb", (escape,), None)
    shown = formatter_of(log_format).format(record)
    assert escape not in shown
    if log_format == "json":
        assert json.loads(shown)["message"] == f"a{escape}b"


def test_no_command_prints_past_it() -> None:
    root = Path(flowise_telemetry_cli.__file__).parent
    for file in root.rglob("*.py"):
        if file.name == "safe.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "click":
                assert node.attr not in ("echo", "secho"), f"{file.name}:{node.lineno}: use output.safe.echo"
