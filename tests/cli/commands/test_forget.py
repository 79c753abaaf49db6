"""``forget``: the ids on stdout, before anything is deleted."""

from __future__ import annotations

import json
from pathlib import Path

from flowise_telemetry.identity.instance_id import load_secret
from tests.cli.in_process import run_command


def test_it_prints_the_ids_and_deletes_what_made_them(tmp_path: Path) -> None:
    config = tmp_path / "config"
    env = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(config)}
    load_secret(env)
    for _ in range(2):
        planned = run_command("forget", "--dry-run", "--json", folder=tmp_path, env=env)
        document = json.loads(planned.stdout)
        assert (planned.status, len(document["ids"]), document["files"]) == (0, 24, [str(config / "instance-secret")])
    done = run_command("forget", folder=tmp_path, env=env)
    assert done.status == 0
    assert {its["instance_id"] for its in document["ids"]} <= set(done.stdout.split())
    assert f"deleted {config / 'instance-secret'}" in done.errors
    assert not (config / "instance-secret").exists()
    assert "no ids: this installation has no secret" in run_command("forget", folder=tmp_path, env=env).errors
    given = run_command("forget", folder=tmp_path, env={**env, "FLOWISE_TELEMETRY_INSTANCE_SECRET": "a-secret-of-mine"})
    assert (given.status, "a-secret-of-mine" in given.stdout + given.stderr) == (3, False)
    assert given.errors[-1].startswith("error: incomplete: FLOWISE_TELEMETRY_INSTANCE_SECRET gives the secret")
