"""kafka-python-ng 2.2.3: calls that block for as long as the cluster does not answer.

``commit``, ``committed``, offset look-ups and joining a group loop around ``client.poll(future=…)`` without a timeout
(dpkp/kafka-python#2373; kafka-python-ng#27 is open). The class of the network client can be given by configuration
(``kafka_client``), so ours raises out of those loops when the deadline has passed. The callers hold their locks in
``with`` blocks and keep a half-done join for the next call, as in the Java client, where ``wakeup`` interrupts them.

Unnecessary with kafka-python 2.1.0 and later, whose calls take ``timeout_ms`` (dpkp/kafka-python#2526 and #2544), once
the adapter passes it. For kafka-python 3 see ``network``.
"""

from __future__ import annotations

from typing import Any

from flowise_telemetry_transport.kafka_python.deadline import Deadline, OutOfTimeError
from flowise_telemetry_transport.kafka_python.patches.network import bounded_network_client

__all__ = ["bounded_client"]

_STEP_MS = 100.0


def bounded_client(deadline: Deadline) -> Any:
    """Return the ``kafka_client`` setting for the installed client: a factory of network clients with a deadline."""
    try:
        from kafka.client_async import KafkaClient
    except ImportError:  # kafka-python 3
        return bounded_network_client(deadline)

    class BoundedClient(KafkaClient):  # type: ignore[misc]  # kafka-python ships no types
        def _register_send_sockets(self) -> None:
            # A connection that was closed since something was queued on it has no socket: the client would raise
            # "Invalid file object: None" out of every call, where what accepts and closes stands for a broker. It may
            # be known here alone: once a broker is connected, those of the bootstrap addresses are dropped.
            for connection in self._sending.copy():
                if connection._sock is None:
                    self._sending.discard(connection)
            super()._register_send_sockets()

        def poll(self, timeout_ms: float | None = None, future: Any = None) -> Any:
            remaining = deadline.remaining_ms()
            if remaining is None:
                return super().poll(timeout_ms=timeout_ms, future=future)
            if future is None:
                if timeout_ms is None:
                    if remaining == 0:
                        raise OutOfTimeError
                    timeout_ms = _STEP_MS
                return super().poll(timeout_ms=min(timeout_ms, remaining))
            responses: list[Any] = []
            while True:
                responses.extend(super().poll(timeout_ms=0 if future.is_done else min(_STEP_MS, remaining)))
                if future.is_done:
                    return responses
                remaining = deadline.remaining_ms()
                if not remaining:
                    raise OutOfTimeError

    return BoundedClient
