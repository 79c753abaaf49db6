"""A broker of Python objects that fulfils the contract of ``ports``: for our tests and for yours."""

from flowise_telemetry_transport.memory.broker import InMemoryBroker

__all__ = ["InMemoryBroker"]
