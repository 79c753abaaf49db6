"""kafka-python and kafka-python-ng own the same module: pip lets the files of one replace those of the other."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport import KafkaSettings
from flowise_telemetry_transport.clients import warm_up
from flowise_telemetry_transport.kafka_python import release

SETTINGS = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client="kafka-python")
REMEDIES = ("pip uninstall -y kafka-python kafka-python-ng && pip install", "FLOWISE_TELEMETRY_CLIENT=librdkafka")


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "version", {"kafka-python": "2.0.2", "kafka-python-ng": "2.2.3"}.__getitem__)
    release.import_kafka.cache_clear()


@pytest.mark.usefixtures("mixed")
def test_a_mixed_install_that_can_be_imported_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        warm_up(SETTINGS)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    for part in ("kafka-python 2.0.2", "kafka-python-ng 2.2.3", *REMEDIES):
        assert part in record.getMessage()


@pytest.mark.usefixtures("mixed")
def test_one_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kafka", None)
    with pytest.raises(
        ConfigurationError, match=r"kafka-python 2\.0\.2 and kafka-python-ng 2\.2\.3 are both installed"
    ):
        warm_up(SETTINGS)


def test_one_of_the_two_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    warm_up(SETTINGS)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.slow
def test_an_app_reads_it_at_the_first_send(tmp_path: Path) -> None:
    (tmp_path / "kafka_python-2.0.2.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: kafka-python\nVersion: 2.0.2\n"
    (tmp_path / "kafka_python-2.0.2.dist-info" / "METADATA").write_text(metadata)
    app = (
        "import logging; logging.basicConfig()\n"
        "from flowise_telemetry import Telemetry, ToolCreated\n"
        "telemetry = Telemetry(app_version='1.0.0', bootstrap_servers='127.0.0.1:1', env_file='/dev/null')\n"
        "event = ToolCreated(tool_id='0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab', tool_name='a_tool')\n"
        "telemetry.send_telemetry(event); telemetry.flush(1.5); telemetry.close(timeout_seconds=0.1)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", app], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.count("are both installed") == 1
