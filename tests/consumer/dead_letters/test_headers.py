from __future__ import annotations

import dataclasses

from flowise_telemetry_consumer import (
    ConsumerSettings,
    DeadLetter,
    list_dead_letters,
    read_dead_letters,
)
from flowise_telemetry_consumer.dead_letters.headers import HEADERS, MAX_HEADER_BYTES, decode, encode
from flowise_telemetry_transport.types import Headers, OutgoingRecord, Record
from tests.consumer.world import DLQ, GROUP, TOPIC, StopWhen, World, header_texts

SETTINGS = ConsumerSettings(topic=TOPIC, group=GROUP)

TRACES: Headers = (("trace", b"1"), ("trace", b"2"), ("none", None))
LETTER = DeadLetter(
    record=Record(
        TOPIC, 3, 41, 1_700_000_000_123, b"key", b"bytes", (("trace", b"1"), ("trace", b"2"), ("none", None))
    ),
    reason="constraint",
    stage="constraints",
    error_class="ValidationError",
    message="flowGraph.edges[3].source: must match a pattern",
    field="flowGraph.edges[3].source",
    schema="prediction_sent.v1",
)


def written(letter: DeadLetter) -> OutgoingRecord:
    return encode(letter, topic=DLQ, group="service", failed_at_ms=1_700_000_001_000)


def with_record(letter: DeadLetter, *, headers: Headers, timestamp_ms: int = 1) -> DeadLetter:
    return dataclasses.replace(
        letter, record=dataclasses.replace(letter.record, headers=headers, timestamp_ms=timestamp_ms)
    )


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    record = written(LETTER)
    assert (record.topic, record.key, record.value, record.timestamp_ms) == (DLQ, b"key", b"bytes", 1_700_000_000_123)
    assert record.headers == (
        ("trace", b"1"),
        ("trace", b"2"),
        ("none", None),
        ("dlq.source.topic", TOPIC.encode()),
        ("dlq.source.partition", b"3"),
        ("dlq.source.offset", b"41"),
        ("dlq.source.timestamp", b"1700000000123"),
        ("dlq.reason", b"constraint"),
        ("dlq.stage", b"constraints"),
        ("dlq.field", b"flowGraph.edges[3].source"),
        ("dlq.error.class", b"ValidationError"),
        ("dlq.error.message", b"flowGraph.edges[3].source: must match a pattern"),
        ("dlq.schema", b"prediction_sent.v1"),
        ("dlq.consumer.group", b"service"),
        ("dlq.failed.at", b"2023-11-14T22:13:21.000Z"),
        ("dlq.redrive.count", b"0"),
    )


def test_what_is_not_known_has_no_header() -> None:
    letter = dataclasses.replace(with_record(LETTER, headers=(), timestamp_ms=-1), field=None, schema=None)
    record = written(letter)
    names = {name for name, _ in record.headers}
    assert set(HEADERS) - names == {"dlq.field", "dlq.schema", "dlq.source.timestamp"}
    assert record.timestamp_ms is None


def test_a_record_that_dies_again_gets_the_new_headers_in_place_of_the_old() -> None:
    once = written(LETTER)
    back = (*once.headers, ("later", b"added"))
    back = tuple((name, b"2" if name == "dlq.redrive.count" else value) for name, value in back)
    again = written(dataclasses.replace(with_record(LETTER, headers=back), reason="truncated", field=None))
    names = [name for name, _ in again.headers]
    assert len(again.headers) == len(once.headers) + 1 - 1  # later came, dlq.field went
    assert names[:4] == ["trace", "trace", "none", "later"]
    text = {name: value for name, value in again.headers if name.startswith("dlq.")}
    assert text["dlq.reason"] == b"truncated"
    assert text["dlq.redrive.count"] == b"2"
    assert "dlq.field" not in text


def test_a_redrive_count_that_is_no_number_starts_over() -> None:
    for value in (None, b"", b"many", b"9" * 50, "\u0663".encode()):
        record = written(with_record(LETTER, headers=(("dlq.redrive.count", value),)))
        assert record.headers[-1] == ("dlq.redrive.count", b"0")


def test_a_long_message_is_cut_between_characters() -> None:
    record = written(dataclasses.replace(LETTER, message="é" * 2_000))
    message = dict(record.headers)["dlq.error.message"]
    assert message is not None
    assert len(message) == MAX_HEADER_BYTES
    assert message.decode() == "é" * 512
    odd = dict(written(dataclasses.replace(LETTER, message="x" + "é" * 2_000)).headers)["dlq.error.message"]
    assert odd == ("x" + "é" * 511).encode()


def test_filed_dead_letters_are_read_back() -> None:
    world = World()
    world.send_bad(headers=(("trace", b"1"),))
    world.consumer(settings=SETTINGS).run(StopWhen(world.all_committed))
    (letter,) = read_dead_letters(world.reader(None), DLQ, clock=world.clock)
    assert (letter.reason, letter.stage, letter.group, letter.redrive_count) == (
        "unknown_framing", "decode", GROUP, 0,
    )  # fmt: skip
    assert letter.record.headers[0] == ("trace", b"1")
    assert letter.source[0] == TOPIC
    assert letter.source[2] == 0


def test_listing_counts_each_record_once() -> None:
    world = World()
    world.send_good(3)
    world.send_bad(b"")
    world.send_bad(None)
    world.send_bad(None)
    world.consumer(settings=SETTINGS).run(StopWhen(world.all_committed))
    writer = world.broker.open_writer()
    (first, *_) = world.dead_records()
    for headers in (first.headers, (), (("dlq.reason", b"\xff"),)):
        writer.send(OutgoingRecord(DLQ, None, None, headers), lambda _delivery, _error: None)
    summary = list_dead_letters(world.reader(None), DLQ, clock=world.clock)
    assert (summary.total, summary.repeats, summary.incomplete) == (5, 1, None)
    assert summary.by_reason == {"empty": 1, "null_value": 2, "unknown": 1, "\ufffd": 1}
    assert summary.by_reason_and_schema["null_value", "unknown"] == 2


def test_a_stranger_in_the_topic_is_read_without_headers() -> None:
    letter = decode(Record(DLQ, 0, 0, -1, None, b"?", (("dlq.source.offset", b"-1"),)))
    assert letter.reason == "unknown"
    assert letter.source == (None, None, None)
    assert header_texts(letter.record) == {"dlq.source.offset": "-1"}
