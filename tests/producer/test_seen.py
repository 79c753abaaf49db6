"""What an operator can see: the preview, the debug output, the ledger, the notice."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry, ValidationError
from flowise_telemetry.consent.notice import NOTICE, show_notice
from flowise_telemetry.encoding.preview import preview
from flowise_telemetry.ledger import read_ledger
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, prediction_sent, stored, stored_records, tool_created


def test_the_preview_is_the_record_that_is_sent(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str]
) -> None:
    telemetry = make_telemetry()
    telemetry.send_telemetry(prediction_sent())
    assert telemetry.flush(5.0)
    (sent,) = stored(broker)
    shown = preview(prediction_sent(), app_version="3.0.1", environ=environ)
    schema, record = codec.decode(shown.value, catalog())
    assert (shown.event, shown.schema_version) == ("prediction_sent", 1)
    assert shown.schema_fingerprint == schema.fingerprint_hex
    assert shown.key == record["eventId"].encode()
    anew = ("eventId", "occurredAt", "streamId")
    assert {k: v for k, v in record.items() if k not in anew} == {k: v for k, v in sent.items() if k not in anew}
    assert str(shown.record["occurredAt"]).endswith("Z")


def test_the_preview_names_the_purpose_of_every_field(environ: dict[str, str]) -> None:
    fields = {field.path: field for field in preview(prediction_sent(2), environ=environ).fields}
    assert list(fields)[:5] == ["eventId", "occurredAt", "instanceId", "streamId", "sequence"]
    assert fields["flowGraph.nodes"].value == ["chatOpenAI_0", "chatOpenAI_1"]
    assert fields["flowGraph.edges[].source"].value == ["chatOpenAI_0"]
    assert all(field.purpose and field.classification for field in fields.values())


def test_the_preview_makes_nothing(environ: dict[str, str], config_dir: Path) -> None:
    preview(tool_created(), environ=environ)
    assert not config_dir.exists()


def test_the_preview_refuses_what_would_be_dropped(environ: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="toolName"):
        preview(type(tool_created())(tool_id=ID, tool_name="two words"), environ=environ)


def test_debug_prints_in_place_of_sending(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    environ["FLOWISE_TELEMETRY_DEBUG"] = "1"
    environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    with Telemetry(app_version="3.0.1", environ=environ) as telemetry:
        telemetry.send_telemetry(tool_created(5))
        assert telemetry.flush(5.0)
    out, err = capsys.readouterr()
    assert out == ""
    shown = json.loads(err.partition(": ")[2])
    assert shown["event"] == "tool_created"
    assert shown["properties"]["toolName"] == "get_weather"


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
    for record in stored_records(broker):
        _, fields = codec.decode(record.value, catalog())
        entry = entries.pop(fields["eventId"])
        assert (entry.topic, entry.partition, entry.offset) == (record.topic, record.partition, record.offset)
        assert entry.record["toolId"] == fields["toolId"]
        assert entry.schema_fingerprint == catalog().latest("tool_created").fingerprint_hex
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
    numbers = [int(str(entry.record["toolId"])[-4:], 16) for entry in read_ledger(path)]
    assert numbers == list(range(numbers[0], 300))


def test_a_ledger_line_that_was_cut_short_is_passed_over(make_telemetry: MakeTelemetry, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"sentAt": 1, "event": "tool_cr\n')
    telemetry = make_telemetry(ledger_path=path)
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    telemetry.close()
    assert len(list(read_ledger(path))) == 1


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
