"""What a stream tells of itself: ``stream_state``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Limits
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry.delivery import stream_reports
from flowise_telemetry.identity.stream import Stream
from flowise_telemetry.testing import TelemetryRecorder
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import DeliveryError, InMemoryBroker, MessageTooLargeError
from tests.producer.conftest import Clock, MakeTelemetry
from tests.producer.samples import states, stored, stored_records, tool_created, wait_until

DROPPED = ("QueueFull", "Invalid", "TooLarge", "Expired", "Closed", "Rejected")
DECEMBER_MS = 1_796_083_200_000  # 2026-12-01T00:00:00Z


def counts(state: dict[str, Any]) -> dict[str, Any]:
    """Its counts, without drops that did not occur."""
    dropped = {name: state[f"dropped{name}"] for name in DROPPED if state[f"dropped{name}"]}
    return {"numbered": state["numbered"], "waiting": state["waiting"], "ended": state["ended"], **dropped}


def test_a_stream_tells_its_counts_when_it_ends(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for number in range(7):
        telemetry.send_telemetry(tool_created(number))
    telemetry.close()
    (state,) = states(broker)
    (stream,) = {record["streamId"] for record in stored(broker)}
    assert counts(state) == {"numbered": 7, "waiting": 0, "ended": True}
    assert (state["streamId"], state["sequence"], state["version"], state["withheld"]) == (stream, 0, "3.0.1", [])
    assert state["instanceId"] == stored(broker)[0]["instanceId"]
    stats = telemetry.stats()
    assert (stats.accepted, stats.sent, stats.buffered, stats.dropped) == (7, 7, 0, {})


def test_it_tells_what_was_dropped_by_reason(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    broker.fail_next_deliveries(MessageTooLargeError("over the topic's limit"))
    broker.fail_next_deliveries(DeliveryError("invalid record"))
    telemetry = make_telemetry()
    bad: list[Any] = [None, dataclasses.replace(tool_created(), tool_id="two words")]
    for event in (tool_created(1), tool_created(2), bad[0], tool_created(3), bad[1]):
        telemetry.send_telemetry(event)
    telemetry.close()
    (state,) = states(broker)
    assert counts(state) == {"numbered": 5, "waiting": 0, "ended": True, "TooLarge": 1, "Rejected": 1, "Invalid": 2}


def test_what_is_refused_is_a_gap_that_the_counts_explain(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker
) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(buffer_max_events=10))
    for number in range(25):
        telemetry.send_telemetry(tool_created(number))
    broker.down = False
    assert telemetry.flush(20.0)
    telemetry.send_telemetry(tool_created())
    telemetry.close()
    assert [record["sequence"] for record in stored(broker)] == [*range(10), 25]
    assert counts(states(broker)[0]) == {"numbered": 26, "waiting": 0, "ended": True, "QueueFull": 15}


def test_the_apps_log_says_at_the_end_how_many_were_lost(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.down = True
    telemetry = make_telemetry(limits=Limits(buffer_max_events=10))
    telemetry.send_telemetry(None)  # type: ignore[arg-type]
    for number in range(25):
        telemetry.send_telemetry(tool_created(number))
    caplog.clear()
    telemetry.close(timeout_seconds=0.2)
    telemetry.send_telemetry(tool_created())
    telemetry.close(timeout_seconds=0.2)
    assert [(line.levelname, line.getMessage()) for line in caplog.records if "lost" in line.getMessage()] == [
        (
            "WARNING",
            "telemetry: 26 events were lost by the end: 1 invalid, 15 queue_full, 10 closed; what is closed was not"
            " delivered in time, and no spool is set, or it took no more",
        )
    ]


def test_a_stream_of_which_nothing_arrives_tells_that(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for _ in range(3):
        telemetry.send_telemetry({"event": "tool_created"})  # type: ignore[arg-type]
    telemetry.close()
    assert stored_records(broker) == []
    assert counts(states(broker)[0]) == {"numbered": 3, "waiting": 0, "ended": True, "Invalid": 3}


@pytest.mark.slow
def test_what_the_end_cuts_off_is_told_where_the_client_still_takes_it(make_telemetry: MakeTelemetry) -> None:
    # One in flight, whose fate is open; the others never got that far.
    class Slow:
        def __init__(self) -> None:
            self.values: list[bytes | None] = []

        def send(self, record: Any, on_delivery: Any) -> None:
            self.values.append(record.value)

        def poll(self) -> None: ...

        def flush(self, *, timeout_seconds: float) -> int:
            return 0

        def close(self, *, timeout_seconds: float) -> None: ...

    writer = Slow()
    telemetry = make_telemetry(writer_factory=lambda: writer)
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: len(writer.values) == 1)
    telemetry.close(timeout_seconds=2.0)
    _, state = codec.decode(writer.values[-1], catalog())
    assert counts(state) == {"numbered": 1, "waiting": 1, "ended": True}
    assert telemetry.stats().dropped == {"closed": 1}


def test_an_app_that_sends_nothing_tells_nothing(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    make_telemetry().close()
    assert states(broker) == []


@pytest.mark.parametrize("how", ["set_enabled", "environment", ".env", "command"])
def test_after_an_opt_out_it_tells_nothing(
    how: str,
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    environ: dict[str, str],
    tmp_path: Path,
    working_directory: Path,
) -> None:
    telemetry = make_telemetry(spool_dir=tmp_path / "spool")
    telemetry._opt_out_watch._file_check_seconds = 0.0  # as the five seconds later
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(10.0)
    if how == "set_enabled":
        telemetry.set_enabled(False)
    elif how == "environment":
        environ["DO_NOT_TRACK"] = "1"
    elif how == ".env":
        (working_directory / ".env").write_text("DISABLE_FLOWISE_TELEMETRY=true\n")
    else:
        store_choice(False, environ=environ)
    telemetry.close()
    assert not telemetry.consent.enabled
    assert len(stored(broker)) == 1
    assert states(broker) == []
    assert list((tmp_path / "spool").glob("*")) == []


def test_with_a_spool_the_next_start_sends_what_could_not_be_told(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    broker.down = True
    first = make_telemetry(spool_dir=tmp_path)
    for number in range(5):
        first.send_telemetry(tool_created(number))
    first.close(timeout_seconds=0.2)
    assert (first.stats().spooled, first.stats().buffered, first.stats().dropped) == (5, 5, {})
    broker.down = False
    second = make_telemetry(spool_dir=tmp_path)
    wait_until(lambda: second.stats().sent == 5)
    second.close()
    assert (second.stats().recovered, second.stats().spooled, second.stats().buffered) == (5, 0, 0)
    assert counts(states(broker)[0]) == {"numbered": 5, "waiting": 5, "ended": True}
    assert states(broker)[0]["streamId"] == first.stats().stream_id
    assert list(tmp_path.glob("*.sqlite3*")) == []


@pytest.mark.slow
def test_it_tells_every_ten_minutes_while_a_count_changes(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stream_reports.EVERY_SECONDS == 600
    monkeypatch.setattr(stream_reports, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(stream_reports, "_LOOK_SECONDS", 0.01)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: states(broker))
    wait_until(lambda: counts(states(broker)[-1]) == {"numbered": 1, "waiting": 0, "ended": False})
    quiet = len(states(broker))
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: len(states(broker)) > quiet)
    telemetry.close()
    told = states(broker)
    assert [state["sequence"] for state in told] == list(range(len(told)))
    assert counts(told[-1]) == {"numbered": 2, "waiting": 0, "ended": True}
    numbered = [state["numbered"] for state in told]
    assert numbered == sorted(numbered)


def test_a_month_is_a_stream_of_its_own(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, set_clock: Clock
) -> None:
    set_clock(DECEMBER_MS - 60_000)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created(1))
    telemetry.send_telemetry(tool_created(2))
    assert telemetry.flush(10.0)
    set_clock(DECEMBER_MS + 60_000)
    telemetry.send_telemetry(tool_created(3))
    assert telemetry.flush(10.0)
    telemetry.close()
    told = {state["streamId"]: state for state in states(broker)}
    months: dict[str, dict[str, Any]] = {}
    for record in [*stored(broker), *told.values()]:
        month = months.setdefault(record["streamId"], {"instances": set(), "days": set(), "ids": set()})
        month["instances"].add(record["instanceId"])
        month["days"].add(record["occurredAt"] >= DECEMBER_MS)
        month["ids"].add(record["eventId"][14:])  # all that is random
    assert len(months) == 2
    assert all(len(month["instances"]) == len(month["days"]) == 1 for month in months.values())
    (first, second) = (month["ids"] for month in months.values())
    assert not {each[:6] for each in first} & {each[:6] for each in second}, (
        "ids that follow each other join the months"
    )
    assert sorted(counts(state)["numbered"] for state in told.values()) == [1, 2]
    assert all(state["ended"] for state in told.values())


@pytest.mark.slow
def test_the_end_of_a_month_is_told_without_another_event(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, set_clock: Clock
) -> None:
    set_clock(DECEMBER_MS - 60_000)
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(10.0)
    set_clock(DECEMBER_MS + 60_000)
    wait_until(lambda: states(broker))
    (state,) = states(broker)
    assert counts(state) == {"numbered": 1, "waiting": 0, "ended": True}
    assert state["occurredAt"] < DECEMBER_MS


def test_months_end_where_the_calendar_says() -> None:
    for before_ms, after_ms in ((DECEMBER_MS - 1, DECEMBER_MS), (1_709_251_199_999, 1_709_251_200_000)):  # leap year
        assert Stream(before_ms).until_ms == Stream(after_ms).from_ms == after_ms


def test_the_recorder_of_an_apps_tests_shows_events_alone() -> None:
    with TelemetryRecorder() as recorder:
        recorder.telemetry.send_telemetry(tool_created())
        recorder.close()
        assert [event.event for event in recorder.events()] == ["tool_created"]
