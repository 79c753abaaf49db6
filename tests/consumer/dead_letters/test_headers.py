from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from flowise_telemetry_consumer.dead_letter import REASONS, DeadLetter
from flowise_telemetry_consumer.dead_letters.headers import (
    HEADERS,
    MAX_HEADER_BYTES,
    decode,
    decode_source,
    encode,
    encode_receipt,
    original_headers,
)
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_schemas.json_mapping import rfc3339
from flowise_telemetry_transport.types import Headers, OutgoingRecord, Record
from tests.consumer.world import DLQ, TOPIC, header_texts

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


def as_read(outgoing: OutgoingRecord) -> Record:
    """What the topic gives back."""
    timestamp_ms = -1 if outgoing.timestamp_ms is None else outgoing.timestamp_ms
    return Record(outgoing.topic, 0, 7, timestamp_ms, outgoing.key, outgoing.value, outgoing.headers)


def with_record(letter: DeadLetter, *, headers: Headers, timestamp_ms: int = 1) -> DeadLetter:
    return dataclasses.replace(
        letter, record=dataclasses.replace(letter.record, headers=headers, timestamp_ms=timestamp_ms)
    )


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    record = written(LETTER)
    assert (record.topic, record.key, record.value, record.timestamp_ms) == (DLQ, b"key", b"bytes", 1_700_000_001_000)
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


def test_a_receipt_keeps_the_key_and_the_source_and_has_no_value() -> None:
    letter = decode(as_read(written(LETTER)))
    receipt = encode_receipt(letter, topic=DLQ, at_ms=1_700_000_002_000)
    assert receipt == OutgoingRecord(
        DLQ,
        b"key",
        None,
        (
            ("dlq.source.topic", TOPIC.encode()),
            ("dlq.source.partition", b"3"),
            ("dlq.source.offset", b"41"),
            ("dlq.source.timestamp", b"1700000000123"),
            ("dlq.reason", b"redriven"),
            ("dlq.consumer.group", b"service"),
            ("dlq.redriven.at", b"2023-11-14T22:13:22.000Z"),
            ("dlq.redrive.count", b"0"),
        ),
        timestamp_ms=1_700_000_002_000,
    )


def test_what_is_not_known_has_no_header() -> None:
    letter = dataclasses.replace(with_record(LETTER, headers=(), timestamp_ms=-1), field=None, schema=None)
    record = written(letter)
    names = {name for name, _ in record.headers}
    of_large_ones = {"dlq.cut", "dlq.value.bytes", "dlq.value.sha256"}
    assert set(HEADERS) - names == {"dlq.field", "dlq.schema", "dlq.source.timestamp"} | of_large_ones
    assert record.timestamp_ms == 1_700_000_001_000


def test_a_record_that_dies_again_gets_the_new_headers_in_place_of_the_old() -> None:
    once = written(LETTER)
    back = (*once.headers, ("later", b"added"))
    back = tuple((name, b"99" if name == "dlq.redrive.count" else value) for name, value in back)
    again = written(dataclasses.replace(with_record(LETTER, headers=back), reason="truncated", field=None))
    names = [name for name, _ in again.headers]
    assert len(again.headers) == len(once.headers) + 1 - 1  # later came, dlq.field went
    assert names[:4] == ["trace", "trace", "none", "later"]
    text = {name: value for name, value in again.headers if name.startswith("dlq.")}
    assert text["dlq.reason"] == b"truncated"
    assert text["dlq.redrive.count"] == b"0"  # of a record on the topic: whoever sent it does not block its redrive
    assert "dlq.field" not in text


def test_a_redrive_count_that_is_no_number_is_none() -> None:
    for value in (None, b"", b"many", b"9" * 50, "\u0663".encode()):
        assert decode(Record(DLQ, 0, 7, 5, b"key", None, (("dlq.redrive.count", value),))).redrive_count == 0


def test_a_long_message_is_cut_between_characters() -> None:
    record = written(dataclasses.replace(LETTER, message="é" * 2_000))
    message = dict(record.headers)["dlq.error.message"]
    assert message is not None
    assert len(message) == MAX_HEADER_BYTES
    assert message.decode() == "é" * 512
    odd = dict(written(dataclasses.replace(LETTER, message="x" + "é" * 2_000)).headers)["dlq.error.message"]
    assert odd == ("x" + "é" * 511).encode()


def test_a_stranger_in_the_topic_is_read_without_headers() -> None:
    letter = decode(Record(DLQ, 0, 0, -1, None, b"?", (("dlq.source.offset", b"-1"),)))
    assert letter.reason == "unknown"
    assert letter.source == (None, None, None)
    assert header_texts(letter.record) == {"dlq.source.offset": "-1"}


TEXT = st.text(st.characters(codec="utf-8"))
FOREIGN = st.tuples(TEXT.filter(lambda name: not name.startswith("dlq.")), st.none() | st.binary(max_size=20))
RECORDS = st.builds(
    Record,
    topic=TEXT,
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**62),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=20),
    headers=st.lists(FOREIGN, max_size=4).map(tuple),
)
LETTERS = st.builds(
    DeadLetter,
    record=RECORDS,
    reason=st.sampled_from(REASONS),
    stage=st.sampled_from(["read", "decode", "constraints"]),
    error_class=TEXT,
    message=TEXT,
    field=st.none() | TEXT,
    schema=st.none() | TEXT,
)
TIMES_MS = st.integers(0, 4_000_000_000_000)


@given(letter=LETTERS, group=TEXT, failed_at_ms=TIMES_MS, redrives=st.integers(0, 1_000))
@settings(deadline=None)
def test_what_is_encoded_is_decoded(letter: DeadLetter, group: str, failed_at_ms: int, redrives: int) -> None:
    source = letter.record
    record = as_read(encode(letter, topic=DLQ, group=group, failed_at_ms=failed_at_ms, redrive_count=redrives))
    timestamp_ms = None if source.timestamp_ms < 0 else source.timestamp_ms
    stored = decode(record)
    assert stored == StoredDeadLetter(
        record=record,
        reason=letter.reason,
        stage=letter.stage,
        field=letter.field,
        error_class=letter.error_class,
        message=letter.message,
        schema=letter.schema,
        group=group,
        failed_at=rfc3339(failed_at_ms),
        redrive_count=redrives,
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
        source_timestamp_ms=timestamp_ms,
    )
    assert stored.source == decode_source(record.headers) == (source.topic, source.partition, source.offset)
    assert (record.key, record.value, original_headers(record)) == (source.key, source.value, source.headers)
    assert record.timestamp_ms == failed_at_ms


@given(letter=LETTERS, group=TEXT, failed_at_ms=TIMES_MS, at_ms=TIMES_MS)
@settings(deadline=None)
def test_a_receipt_is_of_the_dead_letter_that_it_ends(
    letter: DeadLetter, group: str, failed_at_ms: int, at_ms: int
) -> None:
    stored = decode(as_read(encode(letter, topic=DLQ, group=group, failed_at_ms=failed_at_ms)))
    receipt = decode(as_read(encode_receipt(stored, topic=DLQ, at_ms=at_ms)))
    assert (receipt.is_receipt, receipt.record.value) == (True, None)
    assert (receipt.record.key, receipt.redrive_count) == (letter.record.key, stored.redrive_count)
    assert receipt.identity == stored.identity


@given(
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), st.none() | st.binary(max_size=30)), max_size=20).map(tuple)
)
@settings(deadline=None)
def test_headers_of_any_bytes_are_decoded_and_their_receipt_is_theirs(headers: Headers) -> None:
    stored = decode(Record(DLQ, 0, 7, 5, b"key", None, headers))
    receipt = decode(as_read(encode_receipt(stored, topic=DLQ, at_ms=1)))
    assert (receipt.identity, receipt.redrive_count) == (stored.identity, stored.redrive_count)


def test_a_former_reason_is_read_by_its_new_name() -> None:
    record = as_read(OutgoingRecord(DLQ, b"k", None, (("dlq.reason", b"null_value"),)))
    assert decode(record).reason == "tombstone"
