"""An app that PyInstaller froze, as one folder and as one file: the schemas are found, and what it sends arrives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.apps.interpreters import require
from tests.apps.programs import HERE, open_app
from tests.services.kafka import KafkaService

pytestmark = pytest.mark.slow


@pytest.mark.beyond_smoke
@pytest.mark.parametrize("form", ["onedir", "onefile"])
def test_what_a_frozen_app_sent_arrives(
    kafka: KafkaService, tmp_path: Path, python: str, form: str, request: pytest.FixtureRequest
) -> None:
    require(python, "PyInstaller")
    command = [python, "-m", "PyInstaller", f"--{form}", "--log-level", "ERROR", str(HERE / "sending.py")]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=600)
    built = tmp_path / "dist" / "sending"
    program = built / "sending" if form == "onedir" else built
    for client in ("kafka-python", "librdkafka"):
        with open_app(kafka, tmp_path, python, client) as app:
            app.go_without_posthog()  # it is not packed
            environ = {**app.environ, "APP_SENDS_FIRST": "1", "PYTHONPATH": ""}
            done = subprocess.run([program], env=environ, capture_output=True, text=True, timeout=180, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert app.arrived(f"frozen, {form}", 1).numbers == {0}
            request.node.user_properties += [("arrived", row) for row in app.rows]
