"""The checker finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flowise_telemetry_consumer.loss import Outcome
from tests.chaos.checker import Acknowledged, Ended, Fault, Found, Kind, Sent, check
from tests.chaos.numbered_events import expected_fields

STREAM, INSTANCE = "stream-1", "instance-1"
JUNK = b"no event"


def loss(numbered: int, written: int, dropped: int, unexplained: int) -> dict[str, Outcome]:
    reasons = {"queue_full": dropped}
    return {INSTANCE: Outcome(numbered=numbered, written=written, dropped=reasons, unexplained=unexplained)}


def record(number: int) -> dict[str, Any]:
    return {
        "eventId": f"event-{number}",
        "instanceId": INSTANCE,
        "streamId": STREAM,
        "sequence": number,
        **expected_fields(number),
    }


ALL = [record(number) for number in range(10)]
SENT = Sent(
    offered=frozenset(range(12)),
    acknowledged={f"event-{number}": Acknowledged(0, number, record(number)) for number in range(10)},
    ended={STREAM: Ended(offered=12, dropped=2)},
    junk=frozenset({JUNK}),
)
FOUND = Found(rows=ALL, letters=[JUNK, JUNK], loss=loss(12, 10, 2, 0))


def faults(found: Found, sent: Sent = SENT) -> list[Kind]:
    return [fault.kind for fault in check(sent, found).faults]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    verdict = check(SENT, FOUND)
    assert verdict.faults == ()
    assert (verdict.offered, verdict.acknowledged, verdict.written, verdict.dead) == (12, 10, 10, 1)


def test_an_acknowledged_event_that_is_nowhere_is_lost() -> None:
    verdict = check(SENT, dataclasses.replace(FOUND, rows=ALL[1:], loss=loss(12, 9, 2, 1)))
    assert verdict.faults == (
        Fault("lost", "event event-0, acknowledged at [0] 0"),
        Fault("lost", "1 of 12 that stream stream-1 accepted"),
    )


def test_an_accepted_event_that_nobody_acknowledged_is_lost_where_its_app_ended_by_itself() -> None:
    acknowledged = {identity: landed for identity, landed in SENT.acknowledged.items() if identity != "event-0"}
    sent = dataclasses.replace(SENT, acknowledged=acknowledged)
    found = dataclasses.replace(FOUND, rows=ALL[1:], loss=loss(12, 9, 2, 1))
    assert faults(found, sent) == ["lost"]
    assert faults(found, dataclasses.replace(sent, ended={})) == []
    assert faults(found, dataclasses.replace(sent, ended={STREAM: Ended(12, 2, spooled=1)})) == []


def test_what_retention_removed_is_told_apart_from_what_is_lost() -> None:
    sent = dataclasses.replace(SENT, expired_before={0: 2})
    verdict = check(sent, dataclasses.replace(FOUND, rows=ALL[2:], loss=loss(12, 8, 2, 2)))
    assert (verdict.faults, verdict.expired) == ((), 2)
    assert check(sent, FOUND).expired == 0, "it was read before"
    assert faults(dataclasses.replace(FOUND, rows=ALL[3:], loss=loss(12, 7, 2, 3)), sent) == ["lost"] * 2


def test_a_missing_dead_letter_is_lost() -> None:
    assert faults(dataclasses.replace(FOUND, letters=[])) == ["lost"]


@pytest.mark.parametrize("again", [ALL[4], {**ALL[4], "eventId": "another"}], ids=["same id", "same number"])
def test_an_event_that_is_there_twice_is_doubled(again: dict[str, Any]) -> None:
    found = dataclasses.replace(FOUND, rows=[*ALL, again], loss=loss(12, 11, 2, -1))
    assert "doubled" in faults(found)


@pytest.mark.parametrize(
    "change", [{"toolName": "tool_9"}, {"toolName": None}, {"sequence": 7}, {"streamId": "stream-2"}], ids=repr
)
def test_another_value_is_altered(change: dict[str, Any]) -> None:
    verdict = check(SENT, dataclasses.replace(FOUND, rows=[*ALL[:4], {**ALL[4], **change}, *ALL[5:]]))
    assert Fault("altered", f"event event-4, its {next(iter(change))}") in verdict.faults


def test_a_changed_flow_is_altered() -> None:
    flow = {**ALL[3], "flowGraph": {**ALL[3]["flowGraph"], "edges": []}}
    assert faults(dataclasses.replace(FOUND, rows=[*ALL[:3], flow, *ALL[4:]])) == ["altered"]


def test_an_event_or_a_dead_letter_that_nobody_offered_is_out_of_nowhere() -> None:
    stranger = {**record(99), "streamId": "stream-2", "instanceId": "instance-2"}
    assert faults(dataclasses.replace(FOUND, rows=[*ALL, stranger])) == ["out of nowhere"]
    assert faults(dataclasses.replace(FOUND, rows=[*ALL, {"eventId": "x", "streamId": "y", "instanceId": "z"}])) == [
        "out of nowhere"
    ]
    assert faults(dataclasses.replace(FOUND, letters=[JUNK, b"a good event"])) == ["out of nowhere"]


@pytest.mark.parametrize(
    "said",
    [{}, loss(11, 10, 2, 0), loss(12, 9, 2, 1), loss(12, 10, 1, 1)],
    ids=["none", "numbered", "written", "dropped"],
)
def test_a_wrong_loss_figure_is_miscounted(said: dict[str, Outcome]) -> None:
    assert faults(dataclasses.replace(FOUND, loss=said)) == ["miscounted"]
    assert faults(dataclasses.replace(FOUND, loss=None)) == []
    killed = dataclasses.replace(SENT, ended={})
    assert faults(dataclasses.replace(FOUND, loss=said), killed) == [], "nobody knows what it numbered"


def test_what_arrived_though_its_app_took_it_for_dropped_is_no_fault() -> None:
    said = {INSTANCE: dataclasses.replace(loss(12, 10, 3, 0)[INSTANCE], arrived_anyway=1)}
    sent = dataclasses.replace(SENT, ended={STREAM: Ended(offered=12, dropped=3)})
    assert faults(dataclasses.replace(FOUND, loss=said), sent) == []


def test_a_loss_that_is_not_told_is_miscounted() -> None:
    assert set(faults(dataclasses.replace(FOUND, rows=ALL[1:]))) == {"lost", "miscounted"}


def test_a_verdict_shows_the_first_faults_of_each_kind() -> None:
    lost, wrong = check(SENT, dataclasses.replace(FOUND, rows=[])).lines()
    assert lost.startswith("11 lost: event event-0, acknowledged at [0] 0; ")
    assert lost.endswith("; …")
    assert wrong == "1 miscounted: installation instance-1: written 10 for 0, missing 0 for 10"
