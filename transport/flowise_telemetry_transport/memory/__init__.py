"""A broker of Python objects that keeps the contract of ``ports``: for tests, yours too."""

from flowise_telemetry_transport.memory.broker import InMemoryBroker

__all__ = ["InMemoryBroker"]
