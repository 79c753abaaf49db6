"""``status``, and ``enable`` and ``disable`` through it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.in_process import run_command


def test_status_names_what_decided(tmp_path: Path) -> None:
    def shown(**variables: str) -> dict[str, object]:
        document: dict[str, object] = json.loads(run_command("status", "--json", folder=tmp_path, env=variables).stdout)
        return document

    assert shown()["decided_by"] == "the default"
    off = shown(DISABLE_FLOWISE_TELEMETRY="true")
    assert (off["enabled"], off["decided_by"]) == (False, "DISABLE_FLOWISE_TELEMETRY in the environment")
    assert run_command("disable", folder=tmp_path).status == 0
    assert shown()["decided_by"] == "the stored choice (flowise-telemetry disable)"
    enabled = run_command("enable", folder=tmp_path, env={"DO_NOT_TRACK": "1"})
    assert "still off here: DO_NOT_TRACK in the environment" in enabled.stderr
    assert shown()["enabled"] is True
