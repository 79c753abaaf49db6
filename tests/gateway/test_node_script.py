"""``deploy/node/flowise-telemetry.cjs``: where a client of posthog-node is pointed, whatever its version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "node" / "flowise-telemetry.cjs"
CLIENT = "exports.PostHog = class { constructor(key, options) { this.options = options } }"
APP = """
const { PostHog } = require('posthog-node')
const optionsIn = ({ host, ...variables }) => {
    const unset = { FLOWISE_TELEMETRY_ENDPOINT: '', FLOWISE_TELEMETRY_ALLOW_HTTP: '', DO_NOT_TRACK: '' }
    Object.assign(process.env, unset, variables)
    const { options } = new PostHog('a key', host ? { host, personalApiKey: 'p' } : { personalApiKey: 'p' })
    const sends = options.disabled !== true && options.fetch === undefined
    return { host: options.host ?? null, sends, polls: 'personalApiKey' in options }
}
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(optionsIn)))
"""


def run(folder: Path, *cases: dict[str, str]) -> tuple[list[dict[str, Any]], str]:
    """Return each client's options, and what was said on stderr."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    module = folder / "node_modules" / "posthog-node"
    module.mkdir(parents=True)
    (module / "index.js").write_text(CLIENT)
    (folder / "app.cjs").write_text(APP)
    ran = subprocess.run(
        [node, "--require", str(SCRIPT), "app.cjs", json.dumps(cases)],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(ran.stdout), ran.stderr


def at(endpoint: str, **variables: str) -> dict[str, str]:
    return {"FLOWISE_TELEMETRY_ENDPOINT": endpoint, **variables}


def test_the_project_key_travels_in_clear_on_this_machine_alone(tmp_path: Path) -> None:
    taken = [
        "https://telemetry.example.org/",
        "http://localhost:8400",
        "http://127.0.0.1:8400",
        "http://127.9.9.9",
        "http://[::1]:8400/",
    ]
    refused = [
        "http://telemetry.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1",
        "HTTP://telemetry.example.org",
        "ftp://localhost",
        "telemetry.example.org",
    ]
    found, said = run(
        tmp_path,
        *(at(endpoint) for endpoint in [*taken, *refused]),
        at("http://telemetry.example.org", FLOWISE_TELEMETRY_ALLOW_HTTP="true"),
        at("http://telemetry.example.org", host="http://the.app.gives"),
        at("https://telemetry.example.org", DO_NOT_TRACK="1"),
        {},
    )
    assert [(its["host"], its["sends"]) for its in found[: len(taken)]] == [
        (endpoint.rstrip("/"), True) for endpoint in taken
    ]
    silent = found[len(taken) : -4]
    assert silent == [{"host": None, "sends": False, "polls": False}] * len(refused)
    assert [(its["host"], its["sends"]) for its in found[-4:]] == [
        ("http://telemetry.example.org", True),
        ("http://the.app.gives", True),
        (None, False),
        (None, True),
    ]
    assert said == (
        "telemetry: FLOWISE_TELEMETRY_ENDPOINT would send the project key in clear: give https://, or set"
        " FLOWISE_TELEMETRY_ALLOW_HTTP=true; nothing is sent\n"
    ), "once, and no address"
