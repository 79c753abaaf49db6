"""The two clients imported as ``kafka``: kafka-python-ng 2.2.3, which we install, and kafka-python 3."""

from __future__ import annotations

from typing import Any

__all__ = ["is_kafka_python_3"]


def is_kafka_python_3(client: Any) -> bool:
    """Return True if a consumer or admin client is one of kafka-python 3, whose I/O runs on its own thread."""
    return hasattr(client, "_net")
