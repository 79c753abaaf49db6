"""A broker of Python objects that keeps the contract of ``ports``: for tests, yours too. Needs no client and no network."""

from flowise_telemetry_transport.memory.broker import InMemoryBroker

__all__ = ["InMemoryBroker"]
