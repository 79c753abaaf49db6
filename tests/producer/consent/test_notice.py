from __future__ import annotations

import io
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.consent.notice import NOTICE, show_notice


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_notice_is_shown_once_and_on_a_terminal_only(environ: dict[str, str], config_dir: Path) -> None:
    assert not show_notice(environ, io.StringIO())
    assert not config_dir.exists()
    terminal = Terminal()
    assert show_notice(environ, terminal)
    assert not show_notice(environ, terminal)
    assert terminal.getvalue() == NOTICE
    assert "DISABLE_FLOWISE_TELEMETRY" in NOTICE


def test_the_notice_comes_with_the_first_start_and_not_when_off(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, config_dir: Path
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    Telemetry(app_version="3.0.1", environ={**environ, "DO_NOT_TRACK": "1"})
    assert terminal.getvalue() == ""
    assert not config_dir.exists()
    Telemetry(app_version="3.0.1", environ=environ)
    Telemetry(app_version="3.0.1", environ=environ)
    assert terminal.getvalue() == NOTICE


def test_a_notice_that_cannot_be_remembered_is_not_shown_at_every_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    terminal = Terminal()
    assert not show_notice({"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "file" / "config")}, terminal)
    assert terminal.getvalue() == ""
