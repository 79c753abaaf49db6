"""kafka-python-ng 2.2.3: one request of our own through its network client, and the answer to it."""

from __future__ import annotations

from typing import Any

__all__ = ["METADATA", "answer_of", "knows"]

METADATA = 3
"""Key of the request (KIP-35)."""

_POLL_MS = 50.0


def knows(client: Any, key: int, version: int) -> bool:
    """Return True if this is a client that can be asked, of a cluster that takes this version of the request."""
    if not hasattr(client, "get_api_versions"):  # kafka-python 3
        return False
    known = client.get_api_versions() or {}
    return bool(known.get(key, (0, 0))[1] >= version)


def answer_of(client: Any, request: Any) -> Any:
    """Return the answer of any broker.

    Waits for a broker; the deadline of ``client`` (see ``blocking``) bounds that. Raises the client's errors.
    """
    while (node := client.least_loaded_node()) is None or not client.ready(node):
        client.poll(timeout_ms=_POLL_MS)
    future = client.send(node, request)
    client.poll(future=future)
    if future.failed():
        raise future.exception
    return future.value
