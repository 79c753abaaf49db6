"""Three real Kafka brokers as Java processes: each record on all of them, acknowledged by two."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.services.kafka_java import JavaKafka, new_cluster_id

__all__ = ["JavaCluster"]

_NODES = 3


class JavaCluster:
    """Brokers that are controllers too; one of them may end, and nothing is lost."""

    def __init__(self) -> None:
        cluster = new_cluster_id()
        properties = {
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "group.min.session.timeout.ms": "1000",
        }
        self.brokers = [
            JavaKafka({**properties, "node.id": str(number)}, cluster_id=cluster) for number in range(_NODES)
        ]
        voters = ",".join(f"{number}@127.0.0.1:{broker.controller_port}" for number, broker in enumerate(self.brokers))
        for broker in self.brokers:
            broker.configure(controller_quorum_voters=voters)

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """``("host:port", …)``."""
        return tuple(broker.bootstrap_server for broker in self.brokers)

    def start(self) -> JavaCluster:
        """Return when all are up; raise ``RungUnavailableError``."""
        self._each(lambda broker: broker.start())
        return self

    def heal(self) -> None:
        """Let all of them run."""
        for broker in self.brokers:
            broker.thaw()
        self._each(lambda broker: None if broker.is_up else broker.launch())

    def stop(self) -> None:
        """End them and remove their data."""
        self._each(lambda broker: broker.stop())

    def _each(self, act: Callable[[JavaKafka], object]) -> None:
        """Do something with all at once: a single one is not up before there is a majority."""
        with ThreadPoolExecutor(_NODES) as threads:
            list(threads.map(act, self.brokers))
