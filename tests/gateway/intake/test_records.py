"""Records of our own producers: checked as the consumer would, handed on byte for byte."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_gateway import GatewayLimits
from flowise_telemetry_gateway.intake.records import check_records
from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import MAX_VALUE_BYTES
from flowise_telemetry_schemas.wire_format import ID_HEADER
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.gateway.wire import CONTENT_TYPE, WireRecord, decode_answer, encode_batch
from tests.gateway.conftest import KEY, REVOKED, Answered, MakeGateway, World
from tests.producer.samples import stored_records, tool_created

TOPIC = "flowise.telemetry.events"


@pytest.fixture
def sent(tmp_path: Any) -> list[WireRecord]:
    """What a producer makes of five events, and of its stream."""
    broker = InMemoryBroker()
    environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "producer")}
    with Telemetry(app_version="3.0.1", environ=environ, writer_factory=broker.open_writer) as telemetry:
        for number in range(5):
            telemetry.send_telemetry(tool_created(number))
    found = [*stored_records(broker), *stored_records(broker, control=True)]
    assert len(found) == 6
    return [WireRecord(record.key, record.value, (), 1_764_000_000_000) for record in found]


def post(world: World, body: bytes, *, key: str = KEY, **headers: str) -> Answered:
    sent = {"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE, **headers}
    return world.request("POST", "/v1/records", body, sent)


def test_records_are_handed_on_byte_for_byte(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway()
    for body, headers in (
        (encode_batch(sent[:3]), {}),
        (gzip.compress(encode_batch(sent[3:])), {"Content-Encoding": "gzip"}),
    ):
        answered = post(world, body, **headers)
        assert (answered.status, answered.json) == (200, {"accepted": 3, "refused": []})
    found = [*stored_records(world.broker), *stored_records(world.broker, control=True)]
    arrived = [WireRecord(record.key, record.value, record.headers, record.timestamp_ms) for record in found]
    assert sorted(arrived) == sorted(sent)
    assert world.telemetry.stats().accepted == 0  # they are of their own streams
    assert post(world, b"").json == {"accepted": 0, "refused": []}


def test_the_bad_are_refused_by_their_index_and_the_rest_goes_on(
    make_gateway: MakeGateway, sent: list[WireRecord]
) -> None:
    value = sent[0].value or b""
    bad = {
        "tombstone": None,
        "empty": b"",
        "too_large": b"\xc3\x01" + b"x" * MAX_VALUE_BYTES,
        "unknown_framing": b"\x00\x00\x00\x00\x07x",
        "unknown_fingerprint": b"\xc3\x01" + b"\x07" * 8 + value[10:],
        "truncated": value[:-3],
        "trailing_bytes": value + b"x",
        "constraint": value.replace(b"get_weather", b"get weather"),
    }
    mixed = [sent[0], *(WireRecord(b"key", its) for its in bad.values()), sent[1]]
    world = make_gateway()
    answered = post(world, encode_batch(mixed))
    answer = decode_answer(answered.body, sent=len(mixed))
    assert answer.accepted == 2
    assert [(refusal.index, refusal.reason) for refusal in answer.refused] == list(enumerate(bad, 1))
    assert "get weather" not in answered.body.decode()
    assert sorted(record.key or b"" for record in stored_records(world.broker)) == sorted(
        its.key or b"" for its in sent[:2]
    )


def test_a_record_says_nothing_beside_its_value(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway()
    first, second, *_, state = sent
    assert state.key is not None
    secret = b"Jane of accounting"
    wrong = [
        (first._replace(key=secret), "wrong_key"),
        (first._replace(key=b""), "wrong_key"),
        (first._replace(key=None), "wrong_key"),
        (first._replace(key=second.key), "wrong_key"),
        (first._replace(key=(first.key or b"").upper()), "wrong_key"),
        (state._replace(key=state.key + b" "), "wrong_key"),
        (first._replace(headers=((secret.decode(), None),)), "header"),
        (first._replace(headers=(("", secret),)), "header"),
        (first._replace(headers=((ID_HEADER, b"\x00\x00\x00\x00\x07"),)), "header"),
        (first._replace(headers=(("traceparent", b"00"),) * 1_000), "header"),
    ]
    answered = post(world, encode_batch([*(record for record, _ in wrong), second, state]))
    answer = decode_answer(answered.body, sent=len(wrong) + 2)
    assert [(refusal.index, refusal.reason) for refusal in answer.refused] == [
        (place, reason) for place, (_, reason) in enumerate(wrong)
    ]
    assert secret not in answered.body
    assert [record.key for record in stored_records(world.broker)] == [second.key]
    assert [record.key for record in stored_records(world.broker, control=True)] == [state.key]
    assert world.counters.refused_records == {"wrong_key": 6, "header": 4}


def test_who_may_not_send_or_sends_something_else_is_told(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway(GatewayLimits(events_max=5))
    body = encode_batch(sent[:2])
    for answered, status, error in (
        (post(world, body, key=""), 401, "key_missing"),
        (world.request("POST", "/v1/records", body), 401, "key_missing"),
        (post(world, body, key="x" * 30), 401, "key_unknown"),
        (post(world, body, key=REVOKED), 403, "key_revoked"),
        (post(world, body[:-1]), 400, "malformed"),
        (post(world, body, **{"Content-Type": "text/plain"}), 415, "unsupported"),
        (post(world, encode_batch(sent)), 413, "too_large"),
    ):
        assert (answered.status, answered.json["error"]) == (status, error)
    assert stored_records(world.broker) == []
    assert post(world, encode_batch(sent[:5])).json["accepted"] == 5


@pytest.mark.slow
def test_without_a_broker_the_producer_keeps_them(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway(GatewayLimits(answer_seconds=0.1))
    world.broker.down = True
    for _ in range(3):  # the first waits, the others are told at once
        answered = post(world, encode_batch(sent))
        assert (answered.status, answered.json["error"], answered.headers["retry-after"]) == (503, "unavailable", "5")


def test_once_telemetry_is_off_no_record_is_taken(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway()
    assert post(world, encode_batch(sent[:1])).status == 200
    world.telemetry.set_enabled(False)
    answered = post(world, encode_batch(sent[1:]))
    assert (answered.status, answered.json["error"]) == (503, "unavailable")
    assert len(stored_records(world.broker)) == 1


def test_an_opt_out_in_a_file_is_seen_while_only_records_come(
    make_gateway: MakeGateway, sent: list[WireRecord], tmp_path: Path
) -> None:
    world = make_gateway()
    environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config")}
    with Telemetry(app_version="3.0.1", environ=environ, writer_factory=InMemoryBroker().open_writer) as other:
        other.set_enabled(False)  # as `flowise-telemetry disable` does in another process
    assert post(world, encode_batch(sent[:1])).status == 503
    assert stored_records(world.broker) == []


def test_many_records_are_checked_beside_other_requests(make_gateway: MakeGateway, sent: list[WireRecord]) -> None:
    world = make_gateway()
    many = [*sent[:4], WireRecord(b"key", b"x"), *([sent[4]] * 500)]
    body = encode_batch(many)
    assert len(body) > 65_536
    answer = decode_answer(post(world, body).body, sent=len(many))
    assert (answer.accepted, [refusal.index for refusal in answer.refused]) == (len(many) - 1, [4])
    assert len(stored_records(world.broker)) == len(many) - 1


def test_records_that_take_too_long_to_check_are_to_come_in_smaller_batches(sent: list[WireRecord]) -> None:
    times = itertools.count(0.0, 2.0)
    assert len(check_records(sent[:4], catalog(), most_seconds=8.0, clock=lambda: next(times)).good) == 4
    with pytest.raises(RefusedRequestError) as told:
        check_records(sent[:5], catalog(), most_seconds=8.0, clock=lambda: next(times))
    assert (told.value.status, told.value.error) == (413, "too_large")
