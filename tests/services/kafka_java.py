"""A real Kafka broker as a plain Java process, where java and mvn are there."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.docker_engine import wait_until
from tests.services.ladder import RungUnavailableError
from tests.services.maven import SHORT_LIVED, fetched
from tests.services.ports import free_ports
from tests.services.standstill import Standstill

__all__ = ["JavaKafka", "Quorum", "kafka_tool"]

_POM = Path(__file__).parents[1] / "java" / "kafka" / "pom.xml"
_TOOL_TIMEOUT_SECONDS = 180
_START_TIMEOUT_SECONDS = 180
_STOP_TIMEOUT_SECONDS = 20


def _cluster_id() -> str:
    # One that begins with "-" would be taken for an option.
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Quorum:
    """The nodes of one cluster, numbered from 1, each of them broker and controller."""

    controller_ports: tuple[int, ...]
    cluster_id: str = field(default_factory=_cluster_id)

    @property
    def voters(self) -> str:
        """``controller.quorum.voters``."""
        return ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(self.controller_ports, start=1))


class JavaKafka(Standstill):
    """One broker in KRaft mode, its data in a temporary folder, its jars in the user's cache folder.

    ``kill`` and ``launch`` again keep the data and the ports.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[str] = (),
        users: Sequence[str] = (),
        advertised: Mapping[str, int] | None = None,
        *,
        node: int = 1,
        quorum: Quorum | None = None,
    ) -> None:
        """``properties`` are set beside ours; ``listeners`` have ports beside the plain one; ``users`` are SCRAM's.

        ``advertised`` are the ports that clients of a listener are told, where another server stands before it.
        Without a ``quorum`` it is a cluster of one.
        """
        self._node = node
        self._quorum = quorum
        self._advertised = dict(advertised or {})
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self._properties = dict(properties or {})
        self._listeners = listeners
        self._users = users
        self._ports: dict[str, int] = {}
        self._port = 0

    @property
    def bootstrap_server(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self._port}"

    def server_of(self, listener: str) -> str:
        """``host:port`` of one of the ``listeners``."""
        return f"127.0.0.1:{self._ports[listener]}"

    def start(self) -> JavaKafka:
        """Returns when the broker is up; raises ``RungUnavailableError``."""
        try:
            with free_ports(2 + len(self._listeners)) as ports:
                self._port = ports[0]
                self._ports = dict(zip(self._listeners, ports[2:], strict=True))
                quorum = self._quorum or Quorum((ports[1],))
                config = self._write_config(ports[0], quorum)
            self._format(config, quorum.cluster_id)
            self.launch()
        except BaseException:
            self.stop()
            raise
        return self

    def launch(self) -> None:
        """Start the process, which ``start`` does, and whoever killed it; returns when the broker is up."""
        log = (self._folder / "broker.log").open("ab")
        with log:
            process = self._process = subprocess.Popen(
                ["java", *SHORT_LIVED, "-Xmx512m", "-cp", f"{_jars()}/*", "kafka.Kafka", "server.properties"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,  # a Ctrl-C for the tests is not for the broker: stop() ends it
            )
        wait_until(
            self._listens,
            timeout_seconds=_START_TIMEOUT_SECONDS,
            alive=lambda: process.poll() is None,
            what="the Java broker",
        )

    def _write_config(self, port: int, quorum: Quorum) -> Path:
        controller_port = quorum.controller_ports[self._node - 1]
        more = [f"{name}://127.0.0.1:{number}" for name, number in self._ports.items()]
        told = [f"{name}://127.0.0.1:{self._advertised.get(name, number)}" for name, number in self._ports.items()]
        settings = {
            "node.id": str(self._node),
            "process.roles": "broker,controller",
            "listeners": ",".join(
                [f"PLAINTEXT://127.0.0.1:{port}", f"CONTROLLER://127.0.0.1:{controller_port}", *more]
            ),
            "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{port}", *told]),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": quorum.voters,
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            **self._properties,
        }
        file = self._folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return file

    def _format(self, config: Path, cluster: str) -> None:
        users = [part for user in self._users for part in ("--add-scram", user)]
        done = kafka_tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), *users)
        if done.returncode != 0:
            raise RungUnavailableError(f"formatting the storage failed: {done.stderr.strip()[-300:]}")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False

    def stop(self) -> None:
        """Ends the broker and removes its data."""
        if self._process is not None:
            self.thaw()
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)


def kafka_tool(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the programs that come with Kafka, named by its class."""
    return subprocess.run(
        ["java", *SHORT_LIVED, "-cp", f"{_jars()}/*", program, *arguments],
        capture_output=True,
        text=True,
        timeout=_TOOL_TIMEOUT_SECONDS,
        check=False,
    )


def _jars() -> Path:
    """The folder of the jars; fetched by Maven the first time."""
    return fetched(_POM, "kafka-4.1.0")
