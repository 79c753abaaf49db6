"""Both clients: a rebalance listener whose callbacks run inside ``poll``, on the thread that polls.

kafka-python-ng 2.2.3 calls them there; kafka-python 3 calls them on its I/O thread, see ``network``. Unnecessary, and
an ordinary class, once only one of the clients is supported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowise_telemetry_transport.kafka_python.patches.network import on_polling_thread
from flowise_telemetry_transport.kafka_python.release import is_kafka_python_3

__all__ = ["rebalance_listener"]


def rebalance_listener(consumer: Any, on_revoked: Callable[[Any], None], on_assigned: Callable[[Any], None]) -> Any:
    """Return a ``ConsumerRebalanceListener`` for the installed client."""
    from kafka import ConsumerRebalanceListener

    if is_kafka_python_3(consumer):
        methods = {
            "on_partitions_revoked": on_polling_thread(consumer, on_revoked),
            "on_partitions_assigned": on_polling_thread(consumer, on_assigned),
        }
    else:
        methods = {
            "on_partitions_revoked": lambda _self, revoked: on_revoked(revoked),
            "on_partitions_assigned": lambda _self, assigned: on_assigned(assigned),
        }
    return type("Listener", (ConsumerRebalanceListener,), methods)()
