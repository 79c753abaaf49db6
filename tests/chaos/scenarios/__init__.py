"""The scenarios, by what is broken; importing this package registers them all."""

from tests.chaos.scenarios import brokers, databases, processes, topics

__all__ = ["brokers", "databases", "processes", "topics"]
