"""The scenarios, by what is broken; importing this package registers them all."""

from tests.chaos.scenarios import brokers, clusters, databases, processes, storage, topics

__all__ = ["brokers", "clusters", "databases", "processes", "storage", "topics"]
