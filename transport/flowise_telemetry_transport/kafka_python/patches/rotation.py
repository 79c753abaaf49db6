"""kafka-python-ng 2.2.3: a password that is read again for each connection, so that it can be rotated meanwhile.

The client copies its settings into each connection, and asks nobody for a password later. The class of its network
client can be given by configuration; ours puts the password as of now into the settings before a connection is opened.
Unnecessary once the client takes a function for ``sasl_plain_password``. kafka-python 3 reads the file when it opens.
"""

from __future__ import annotations

from typing import Any

from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["rotating_client"]


def rotating_client(settings: KafkaSettings, client_class: Any = None) -> Any:
    """Return a class of network clients, from the client's own one or ``client_class``; that itself without a file."""
    try:
        from kafka.client_async import KafkaClient
    except ImportError:  # kafka-python 3
        return client_class
    base: Any = client_class or KafkaClient
    if settings.sasl_password_file is None:
        return base

    class RotatingClient(base):  # type: ignore[misc]  # kafka-python ships no types
        def _maybe_connect(self, node_id: Any) -> Any:
            known = self._conns.get(node_id)
            if known is None or known.disconnected():
                password = settings.password
                for config in (self.config, known.config if known is not None else {}):
                    config["sasl_plain_password"] = password
            return super()._maybe_connect(node_id)

    return RotatingClient
