"""A login that is withdrawn from a running consumer, and given back: the whole command, with both clients."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from flowise_telemetry_transport import OutgoingRecord, TopicSpec, open_admin, open_writer
from flowise_telemetry_transport.clients import CLIENTS
from tests.cli.program import start
from tests.consumer.sinks.roles import open_readable
from tests.consumer.world import event_id, value_of
from tests.services.kafka_secure import PASSWORDS, SecureKafka

REJECTED = "wrong password, or no such user"
_SECONDS = 150.0


class Service:
    """``consume`` as a process, with what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())

    @property
    def address(self) -> str:
        found = [line for line in self.lines if "/metrics, /healthz and /readyz" in line]
        return found[0].partition("serving ")[2].partition("/metrics")[0] if found else ""

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.address + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""  # a busy machine: the port answers within its time, or hangs up

    def is_unready(self, *reasons: str) -> bool:
        status, why = self.get("/readyz")
        return status == 503 and all(reason in why for reason in reasons)

    def wait_for(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + _SECONDS
        while not done():
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < end, self.lines[-20:]
            time.sleep(0.2)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._reading.join(10)
        return status

    def close(self) -> None:
        with self.process:  # closes its pipes
            self.process.kill()
            self._reading.join(10)


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_login_that_is_lost_is_told_and_taken_up_again(
    client: str, secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    topic, group = secure_kafka.unique("events"), secure_kafka.unique("group")
    url = f"sqlite:///{tmp_path}/events.db"
    plain = secure_kafka.settings()
    admin = open_admin(plain)
    for name in (topic, f"{topic}.dlq"):
        admin.create_topic(TopicSpec(name, 1))
    admin.close()
    sender = open_writer(plain)

    def send(*numbers: int) -> None:
        for number in numbers:
            sender.send(OutgoingRecord(topic, event_id(number).encode(), value_of(number)), lambda *_: None)
        assert not sender.flush(timeout_seconds=30)

    def held() -> int:
        sink = open_readable(url)
        try:
            return sum(sink.counts().values())
        finally:
            sink.close()

    environ = {
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": secure_kafka.server_of("SASL_PLAINTEXT"),
        "FLOWISE_TELEMETRY_CLIENT": client,
        "FLOWISE_TELEMETRY_TOPIC": topic,
        "FLOWISE_TELEMETRY_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FLOWISE_TELEMETRY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "FLOWISE_TELEMETRY_KAFKA_SASL_USERNAME": "consumer",
        "FLOWISE_TELEMETRY_KAFKA_SASL_PASSWORD": PASSWORDS["consumer"],
    }
    rights = (("topic", topic, "read"), ("group", group, "read"), ("topic", f"{topic}.dlq", "write"))
    command = ("consume", "--sink", url, "--group", group, "--http-address", "127.0.0.1:0", "--batch-seconds", "0.1")
    with secure_kafka.rights("consumer", *rights):
        send(0, 1, 2)
        service = Service(start(*command, folder=tmp_path, env=environ))
        try:
            service.wait_for(lambda: bool(service.address) and held() == 3)
            service.wait_for(lambda: service.get("/readyz")[0] == 200)
            with secure_kafka.withdrawn("consumer"):
                send(3, 4)
                where = secure_kafka.server_of("SASL_PLAINTEXT")
                service.wait_for(lambda: service.is_unready(REJECTED, where))
                service.wait_for(lambda: service.get("/healthz")[0] == 200)  # a restart would mend nothing
            service.wait_for(lambda: held() == 5)
            service.wait_for(lambda: service.get("/readyz")[0] == 200)
            told = [line for line in service.lines if REJECTED in line]
            assert len(told) == 1
            assert "Traceback" not in "\n".join(service.lines)
            assert len(service.lines) < 40, "no flood"
            assert service.end() == 0
            assert PASSWORDS["consumer"] not in "\n".join(service.lines)
        finally:
            service.close()
            sender.close(timeout_seconds=1)
