"""The logger ``kafka`` is the app's; only what our own client says on it is filtered."""

from __future__ import annotations

import gc
import itertools
import logging
import subprocess
import sys
import threading
from types import ModuleType

import pytest

from flowise_telemetry_transport import BrokerUnavailableError, KafkaSettings, OutgoingRecord, open_admin, open_writer
from flowise_telemetry_transport.kafka_python.patches.root_log import name_root_logs

SETTINGS = KafkaSettings(bootstrap_servers=("127.0.0.1:1",), client="kafka-python", connect_timeout_seconds=0.3)


def test_our_client_says_nothing_on_the_loggers_of_the_app(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        writer = open_writer(SETTINGS, block_seconds=0.3)
        with pytest.raises(BrokerUnavailableError):
            writer.send(OutgoingRecord("orders", b"key", b"value"), lambda delivery, error: None)
        writer.close(timeout_seconds=1.0)
        with pytest.raises(BrokerUnavailableError):
            open_admin(SETTINGS)
    assert [record for record in caplog.records if record.name.startswith("kafka")] == []
    ours = [record for record in caplog.records if record.name == "flowise_telemetry.transport"]
    assert ours  # kept, for who wants to see them
    assert {record.levelno for record in ours} == {logging.DEBUG}


def test_the_lines_of_our_clients_threads_are_ours(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BrokerUnavailableError):
        open_admin(SETTINGS, client_id="ours")
    log = logging.getLogger("kafka.conn")
    with caplog.at_level(logging.INFO):
        for name in ("ours-network-thread", "kafka-io-ours", "theirs-network-thread"):
            thread = threading.Thread(target=log.error, args=(f"said by {name}",), name=name)
            thread.start()
            thread.join()
    assert [record.getMessage() for record in caplog.records] == ["said by theirs-network-thread"]


def test_no_module_of_the_client_logs_as_the_app(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BrokerUnavailableError):
        open_admin(SETTINGS)
    named = {name: getattr(module, "log", None) for name, module in sys.modules.items() if name.startswith("kafka.")}
    assert "kafka.sasl.scram" in named
    assert [name for name, log in named.items() if log is logging.root] == []


APP = """
import gc
import itertools
import logging
logging.basicConfig(format="%(name)s %(message)s")
SET
from flowise_telemetry import Telemetry, ToolCreated
telemetry = Telemetry(app_version="1.0.0", bootstrap_servers="127.0.0.1:1", env_file="/dev/null")
telemetry.send_telemetry(ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="a_tool"))
telemetry.flush(3.0)
telemetry.close(timeout_seconds=0.1)
log = logging.getLogger("kafka")
print(log.level, log.propagate)
print("--- the app's", file=__import__("sys").stderr)
from kafka import KafkaProducer
try:
    KafkaProducer(bootstrap_servers="127.0.0.1:1", api_version_auto_timeout_ms=300)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("level", ["NOTSET", "WARNING"])
def test_an_app_that_imports_kafka_later_has_its_own_clients_lines(level: str) -> None:
    setting = "" if level == "NOTSET" else f"logging.getLogger('kafka').setLevel(logging.{level})"
    run = subprocess.run(
        [sys.executable, "-c", APP.replace("SET", setting)], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.splitlines()[0] == f"{getattr(logging, level)} True"
    ours, _, theirs = run.stderr.partition("--- the app's")
    assert "kafka." not in ours
    assert "kafka." in theirs


def test_other_modules_may_be_imported_meanwhile() -> None:
    """Garbage is collected in the middle of a walk through a dict, and whatever runs then may import."""
    names = (f"imported_meanwhile_{number}" for number in itertools.count())
    added: list[str] = []

    def imports(*_: object) -> None:
        added.append(next(names))
        sys.modules[added[-1]] = ModuleType(added[-1])

    thresholds = gc.get_threshold()
    gc.callbacks.append(imports)
    gc.set_threshold(1)
    try:
        for _ in range(20):
            name_root_logs()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(imports)
        for name in added:
            del sys.modules[name]
    assert added
