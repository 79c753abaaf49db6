"""The page for other languages: what it shows works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog, codec
from tests.transport.gateway.server import KEY, GatewayServer, serving

PAGE = Path(__file__).parents[3] / "docs" / "producer" / "other-languages.md"


def test_the_example_in_javascript_is_taken(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    found = re.search(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "example.mjs").write_text(found[1])
    with serving(GatewayServer()) as gateway:
        run = subprocess.run(
            [node, "example.mjs"],
            cwd=tmp_path,
            env={**os.environ, "ENDPOINT": gateway.url, "PROJECT_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert json.loads(run.stdout) == {"status": 200, "accepted": 2, "refused": []}
        (request,) = gateway.requests
    events = [codec.decode(record.value or b"", catalog())[1] for record in request.records]
    assert [event["toolName"] for event in events] == ["get_weather", None]
    assert [event["sequence"] for event in events] == [0, 1]
    assert [str(event["eventId"]).encode() for event in events] == [record.key for record in request.records]
