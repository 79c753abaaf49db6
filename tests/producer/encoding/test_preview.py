from __future__ import annotations

from pathlib import Path

import pytest

from flowise_telemetry import ValidationError
from flowise_telemetry.encoding.preview import preview, preview_state
from flowise_telemetry_schemas import catalog, codec, violations
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import ID, prediction_sent, stored, tool_created


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
    fresh = ("eventId", "occurredAt", "streamId")
    assert {k: v for k, v in record.items() if k not in fresh} == {k: v for k, v in sent.items() if k not in fresh}
    assert str(shown.record["occurredAt"]).endswith("Z")


def test_the_preview_names_the_purpose_of_every_field(environ: dict[str, str]) -> None:
    fields = {field.path: field for field in preview(prediction_sent(2), environ=environ).fields}
    assert list(fields)[:5] == ["eventId", "occurredAt", "instanceId", "streamId", "sequence"]
    assert fields["flowGraph.nodes"].value == ["chatOpenAI_0", "chatOpenAI_1"]
    assert fields["flowGraph.edges[].source"].value == ["chatOpenAI_0"]
    assert all(field.purpose and field.classification for field in fields.values())


def test_the_preview_creates_nothing(environ: dict[str, str], config_dir: Path) -> None:
    preview(tool_created(), environ=environ)
    assert not config_dir.exists()


def test_the_preview_refuses_what_would_be_dropped(environ: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="toolId"):
        preview(type(tool_created())(tool_id="two words", tool_name="a_tool"), environ=environ)


def test_the_preview_withholds_what_would_be_withheld(environ: dict[str, str]) -> None:
    event = type(tool_created())(tool_id=ID, tool_name="two words")
    assert preview(event, environ=environ).record["toolName"] is None
    hashed = preview(event, environ={**environ, "FLOWISE_TELEMETRY_IDS": "hashed"})
    assert hashed.record["toolId"] != ID


def test_the_control_record_is_shown_too(environ: dict[str, str]) -> None:
    shown = preview_state(environ=environ)
    assert (shown.event, shown.record["numbered"], shown.record["ended"]) == ("stream_state", 1_000, True)
    assert violations(*codec.decode(shown.value, catalog())) == []
    assert all(field.purpose and field.classification for field in shown.fields)
