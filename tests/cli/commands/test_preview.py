from __future__ import annotations

import json
from pathlib import Path

from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command


def test_preview_shows_the_bytes_and_the_purpose(tmp_path: Path) -> None:
    shown = [json.loads(line) for line in run_command("preview", "--json", folder=tmp_path).stdout.splitlines()]
    assert [document["event"] for document in shown] == [*catalog().events, "stream_state"]
    for document in shown:
        assert document["value"].startswith("c301")
        assert set(document["record"]) <= set(document["purposes"])
        assert all(document["purposes"].values())


def test_preview_takes_the_settings_of_the_env_file(tmp_path: Path) -> None:
    def tool() -> dict[str, object]:
        done = run_command("preview", "tool_created", "--json", folder=tmp_path)
        record: dict[str, object] = json.loads(done.stdout)["record"]
        return record

    plain = tool()
    (tmp_path / ".env").write_text("FLOWISE_TELEMETRY_IDS=hashed\nFLOWISE_TELEMETRY_TOOL_NAMES=off\n")
    hashed = tool()
    assert plain["toolName"]
    assert hashed["toolName"] is None
    assert hashed["toolId"] != plain["toolId"]
