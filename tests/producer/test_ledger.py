from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowise_telemetry import Limits
from flowise_telemetry.ledger import LedgerEntry, read_ledger
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, stored_records, tool_created


def events_of(path: Path) -> list[LedgerEntry]:
    return [entry for entry in read_ledger(path) if entry.event != "stream_state"]


def test_the_ledger_says_what_was_sent_and_where_it_landed(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "ledger.jsonl"
    telemetry = make_telemetry(ledger_path=path)
    for number in range(20):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(5.0)
    telemetry.close()
    entries = {entry.event_id: entry for entry in read_ledger(path)}
    for record in [*stored_records(broker), *stored_records(broker, control=True)]:
        schema, fields = codec.decode(record.value, catalog())
        entry = entries.pop(fields["eventId"])
        assert (entry.topic, entry.partition, entry.offset) == (record.topic, record.partition, record.offset)
        assert (entry.event, entry.schema_fingerprint) == (schema.event, schema.fingerprint_hex)
        assert entry.record.get("toolId") == fields.get("toolId")
    assert entries == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_ledger_is_bounded(make_telemetry: MakeTelemetry, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    telemetry = make_telemetry(ledger_path=path, limits=Limits(ledger_max_bytes=40_000))
    for number in range(300):
        telemetry.send_telemetry(tool_created(number))
        if number % 20 == 0:
            assert telemetry.flush(5.0)
    telemetry.close()
    assert sum(file.stat().st_size for file in tmp_path.glob("ledger*")) < 60_000
    numbers = [int(str(entry.record["toolId"])[-4:], 16) for entry in events_of(path)]
    assert numbers == list(range(numbers[0], 300))


def test_a_ledger_line_that_was_cut_short_is_passed_over(make_telemetry: MakeTelemetry, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"sentAt": 1, "event": "tool_cr\n')
    telemetry = make_telemetry(ledger_path=path)
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    telemetry.close()
    assert len(events_of(path)) == 1


@pytest.mark.parametrize("path", ["/dev/full", "file/ledger"])
def test_a_ledger_that_cannot_be_written_costs_one_warning_and_no_event(
    path: str,
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    working_directory: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (working_directory / "file").write_text("")
    telemetry = make_telemetry(ledger_path=path)
    for number in range(5):
        telemetry.send_telemetry(tool_created(number))
        assert telemetry.flush(5.0)
    assert len(stored(broker)) == 5
    assert [line.levelname for line in caplog.records] == ["WARNING"]
