from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.consent import notice
from flowise_telemetry.consent.notice import NOTICE, NOTICE_FILE, disclose, show_notice
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.events import DISCLOSURE


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


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that tells one field more."""
    monkeypatch.setattr(notice, "DISCLOSURE", 2)


@pytest.mark.usefixtures("newer")
def test_the_notice_is_shown_again_when_events_tell_more(environ: dict[str, str], config_dir: Path) -> None:
    config_dir.mkdir()
    (config_dir / "notice-shown").write_text("shown\n")
    terminal = Terminal()
    assert show_notice(environ, terminal)
    assert not show_notice(environ, terminal)
    assert terminal.getvalue() == NOTICE
    assert disclose(environ) == 2


@pytest.mark.usefixtures("newer")
def test_without_a_terminal_one_warning_says_so(
    environ: dict[str, str], config_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    for _ in range(2):
        telemetry = Telemetry(app_version="3.0.1", environ=environ, first_run_notice=False)
        assert telemetry._content.disclosed == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "events tell more than before (disclosure 2, 1 was shown)" in caplog.text
    assert (config_dir / "notice-shown").read_text() == "shown 2\n"


@pytest.mark.usefixtures("newer")
def test_where_nobody_could_see_it_nothing_more_is_told(
    environ: dict[str, str], config_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    telemetry = Telemetry(app_version="3.0.1", environ=environ)
    assert telemetry._content.disclosed == 1
    assert not config_dir.exists()


def test_the_first_release_has_nothing_more_to_say(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    assert catalog().disclosure == DISCLOSURE == disclose(environ) == 1
    assert not caplog.records


@pytest.mark.usefixtures("newer")
def test_a_warning_that_only_a_null_handler_gets_was_not_shown(
    environ: dict[str, str], config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_dir.mkdir()
    (config_dir / NOTICE_FILE).write_text("shown 1\n")
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    assert disclose(environ) == 1
    assert (config_dir / NOTICE_FILE).read_text() == "shown 1\n"


def test_what_cannot_be_read_says_nothing_newer(environ: dict[str, str], config_dir: Path) -> None:
    (config_dir / NOTICE_FILE).mkdir(parents=True)
    assert disclose(environ) == 1
