"""Rebalance callbacks in the words of the kafka-python that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowise_telemetry_transport.kafka_python.patches.network import on_polling_thread

__all__ = ["rebalance_listener"]


def rebalance_listener(consumer: Any, on_revoked: Callable[[Any], None], on_assigned: Callable[[Any], None]) -> Any:
    """A rebalance listener in the words of the client that there is, whose callbacks run inside ``poll``."""
    from kafka import ConsumerRebalanceListener

    if not hasattr(consumer, "_net"):
        methods = {
            "on_partitions_revoked": lambda _self, revoked: on_revoked(revoked),
            "on_partitions_assigned": lambda _self, assigned: on_assigned(assigned),
        }
    else:  # kafka-python 3
        methods = {
            "on_partitions_revoked": on_polling_thread(consumer, on_revoked),
            "on_partitions_assigned": on_polling_thread(consumer, on_assigned),
        }
    return type("Listener", (ConsumerRebalanceListener,), methods)()
