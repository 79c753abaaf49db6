"""The switch on the settings page of an app, and what it leaves behind."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.config_folder import OPT_OUT_TIME_FILE
from flowise_telemetry.consent.decision import APP_OPT_OUT
from flowise_telemetry.consent.status import status
from flowise_telemetry.consent.stored_choice import APP_CHOICE_FILE, store_choice
from flowise_telemetry.consent.watch import OptOutWatch
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until


def test_off_holds_over_restarts_until_it_is_taken_back(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], config_dir: Path
) -> None:
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created(1))
    assert telemetry.flush(5.0)
    assert telemetry.set_enabled(False)
    assert (telemetry.active, telemetry.consent) == (False, APP_OPT_OUT)
    telemetry.send_telemetry(tool_created(2))
    assert telemetry.set_enabled(False)
    restarted = make_telemetry()
    assert (restarted.active, restarted.consent) == (False, APP_OPT_OUT)
    assert status(environ=environ).decided_by == APP_OPT_OUT.decided_by
    restarted.send_telemetry(tool_created(3))
    assert restarted.set_enabled(True)
    assert not (config_dir / APP_CHOICE_FILE).exists()
    assert restarted.active
    restarted.send_telemetry(tool_created(4))
    assert restarted.flush(5.0)
    assert telemetry.set_enabled(True)
    telemetry.send_telemetry(tool_created(5))
    assert telemetry.flush(5.0)
    assert {record["toolId"][-1] for record in stored(broker)} == {"1", "4", "5"}
    assert len({record["streamId"] for record in stored(broker)}) == 3


@pytest.mark.parametrize("value", ["false", 0, "no", "", "off"])
def test_it_takes_every_spelling(value: object, make_telemetry: MakeTelemetry) -> None:
    telemetry = make_telemetry()
    telemetry.set_enabled(value)  # type: ignore[arg-type]  # as a form of a web page has it
    assert not telemetry.active


@pytest.mark.parametrize("opt_out", ["environment", ".env", "command", "argument"])
def test_on_undoes_no_other_opt_out(
    opt_out: str, make_telemetry: MakeTelemetry, environ: dict[str, str], working_directory: Path
) -> None:
    telemetry = make_telemetry(enabled=False if opt_out == "argument" else None)
    telemetry.set_enabled(False)
    if opt_out == "environment":
        environ["DO_NOT_TRACK"] = "1"
    elif opt_out == ".env":
        (working_directory / ".env").write_text("DO_NOT_TRACK=1")
    elif opt_out == "command":
        store_choice(False, environ=environ)
    telemetry.set_enabled(True)
    assert not telemetry.active
    assert telemetry.consent != APP_OPT_OUT
    telemetry.send_telemetry(tool_created())
    assert telemetry.stats().accepted == 0


def test_a_command_does_not_undo_it(make_telemetry: MakeTelemetry, environ: dict[str, str]) -> None:
    make_telemetry().set_enabled(False)
    store_choice(True, environ=environ)
    assert make_telemetry(enabled=True).consent == APP_OPT_OUT


def test_off_is_off_in_this_process_where_it_cannot_be_stored(
    make_telemetry: MakeTelemetry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    telemetry = make_telemetry(environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "file" / "config")})
    assert not telemetry.set_enabled(False)
    assert not telemetry.active
    assert len(caplog.records) == 1


def test_a_closed_one_stays_closed(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    telemetry.close()
    telemetry.set_enabled(False)
    telemetry.set_enabled(True)
    telemetry.send_telemetry(tool_created())
    assert telemetry.stats().dropped == {"closed": 1}


def test_another_process_sees_an_opt_out_that_was_taken_back_at_once(environ: dict[str, str]) -> None:
    now = 100.0
    watch = OptOutWatch(environ, environ, clock=lambda: now)
    assert watch.opt_out() is None
    store_choice(False, environ=environ)
    store_choice(True, environ=environ)
    now += 5.0
    assert watch.opt_out() is not None


def spooled(telemetry: Telemetry, count: int) -> None:
    """Let it leave events in the spool, as a process that is killed does."""
    for number in range(count):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.stats().spooled == count)
    telemetry.close(timeout_seconds=0.5)
    wait_until(lambda: not any(thread.name == "flowise-telemetry" for thread in threading.enumerate()))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["disable, enable", "set_enabled", "environment", ".env", "argument"])
def test_what_was_accepted_before_an_opt_out_never_leaves_after_it(
    how: str, make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path,
    working_directory: Path,
) -> None:  # fmt: skip
    spool = tmp_path / "spool"  # given by argument: the command does not know it
    broker.down = True
    spooled(make_telemetry(spool_dir=spool), 5)
    assert list(spool.iterdir())
    if how == "disable, enable":
        store_choice(False, environ=environ)
        store_choice(True, environ=environ)
    elif how == "set_enabled":
        telemetry = make_telemetry(spool_dir=spool)
        telemetry.set_enabled(False)
        telemetry.set_enabled(True)
    elif how == "environment":
        make_telemetry(spool_dir=spool, environ={**environ, "DISABLE_FLOWISE_TELEMETRY": "1"})
    elif how == ".env":
        (working_directory / ".env").write_text("DISABLE_FLOWISE_TELEMETRY=1")
        make_telemetry(spool_dir=spool)
        (working_directory / ".env").unlink()
    else:
        make_telemetry(spool_dir=spool, enabled="no")
    broker.down = False
    telemetry = make_telemetry(spool_dir=spool)
    telemetry.send_telemetry(tool_created(9))
    assert telemetry.flush(10.0)
    assert [record["toolId"][-1] for record in stored(broker)] == ["9"]
    stats = telemetry.stats()
    assert (stats.recovered, stats.dropped.get("opted_out", 0)) in {(5, 5), (0, 0)}


def test_what_is_accepted_after_an_opt_in_is_recovered(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path
) -> None:
    store_choice(False, environ=environ)
    chosen_ms = time.time_ns() // 1_000_000
    store_choice(True, environ=environ)
    wait_until(lambda: time.time_ns() // 1_000_000 > chosen_ms)  # what occurs within the opt-out's millisecond is not
    broker.down = True
    spooled(make_telemetry(spool_dir=tmp_path / "spool"), 3)
    broker.down = False
    telemetry = make_telemetry(spool_dir=tmp_path / "spool")
    wait_until(lambda: telemetry.stats().sent == 3)


def test_a_time_that_cannot_be_read_is_later_than_everything(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, config_dir: Path, tmp_path: Path
) -> None:
    broker.down = True
    spooled(make_telemetry(spool_dir=tmp_path / "spool"), 3)
    (config_dir / OPT_OUT_TIME_FILE).write_text("yesterday")
    broker.down = False
    telemetry = make_telemetry(spool_dir=tmp_path / "spool")
    wait_until(lambda: telemetry.stats().dropped == {"opted_out": 3})


def test_the_spool_of_a_living_process_is_its_own(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path
) -> None:
    living = tmp_path / "spool" / "events-0000000000001-abc.sqlite3"
    living.parent.mkdir()
    with sqlite3.connect(living) as connection:
        connection.execute("CREATE TABLE event (id)")
        connection.commit()
        connection.execute("BEGIN EXCLUSIVE")
        make_telemetry(spool_dir=living.parent, environ={**environ, "DO_NOT_TRACK": "1"})
        assert living.exists()
    connection.close()
    assert os.access(living, os.R_OK)
