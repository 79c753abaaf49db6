"""The body of a request, bounded as it is sent and as it unpacks."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.limits import GatewayLimits
from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_gateway.serving.deadline import Deadline

__all__ = ["BodyReader", "ClientLeftError", "Request", "decompressed", "too_large"]

_GZIP = b"\x1f\x8b"
_BUSY_SECONDS = 2


class ClientLeftError(Exception):
    """The client closed the connection before its request was complete: nobody waits for an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """An ASGI request: its headers, and what receives its body."""

    headers: list[tuple[bytes, bytes]]
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]]

    def header(self, name: bytes, default: str = "") -> str:
        """Return the value of a header by its name in lower case."""
        for its, value in self.headers:
            if its == name:
                return value.decode("latin-1")
        return default


class BodyReader:
    """Reads bodies; all of them together take at most ``bodies_max_bytes``, each for as long as it is in use."""

    def __init__(self, limits: GatewayLimits, counters: GatewayCounters) -> None:
        self._limits = limits
        self._counters = counters
        self._deadline = Deadline(limits.body_seconds)

    def hold(self, held: list[int], size_bytes: int) -> None:
        """Count bytes of a body that is in memory. Raises ``RefusedRequestError`` (503) where there are too many."""
        if self._counters.bodies_bytes + size_bytes > self._limits.bodies_max_bytes:
            raise RefusedRequestError(
                503, "unavailable", "the gateway is busy with other bodies", retry_after_seconds=_BUSY_SECONDS
            )
        self._counters.bodies_bytes += size_bytes
        held.append(size_bytes)

    def release(self, held: list[int]) -> None:
        """Forget what was held."""
        self._counters.bodies_bytes -= sum(held)
        held.clear()

    async def read(self, request: Request, held: list[int]) -> bytes:
        """Return the body, unpacked.

        Raises ``RefusedRequestError`` (400, 408, 413, 415, 503), ``ClientLeftError``.
        """
        limit = self._limits.body_max_bytes
        length = request.header(b"content-length")
        if length.isdecimal() and int(length) > limit:
            raise too_large(f"the body has more than {limit} bytes")
        try:
            raw = await self._deadline.bounded(self._received(request, held))
        except TimeoutError:
            raise RefusedRequestError(408, "timeout", "the body took too long to arrive") from None
        encoding = request.header(b"content-encoding").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise RefusedRequestError(415, "unsupported", "a body is plain or of Content-Encoding gzip")
        # posthog-js says so in the address alone, with another type.
        if not raw.startswith(_GZIP):
            if "gzip" in encoding:
                raise RefusedRequestError(400, "malformed", "the body is not gzip")
            return raw
        unpacked = decompressed(raw, self._limits.decompressed_max_bytes)
        self.hold(held, len(unpacked))
        return unpacked

    async def _received(self, request: Request, held: list[int]) -> bytes:
        limit, size_bytes = self._limits.body_max_bytes, 0
        parts: list[bytes] = []
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            part: bytes = message.get("body", b"")
            size_bytes += len(part)
            if size_bytes > limit:
                raise too_large(f"the body has more than {limit} bytes")
            self.hold(held, len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def decompressed(raw: bytes, max_bytes: int) -> bytes:
    """Return what gzip unpacks to. Raises ``RefusedRequestError``: 413 for more than ``max_bytes``, 400 for no gzip."""
    engine = zlib.decompressobj(31)  # gzip alone
    try:
        unpacked = engine.decompress(raw, max_bytes + 1)
    except zlib.error:
        raise RefusedRequestError(400, "malformed", "the body is no gzip, or is cut short") from None
    if len(unpacked) > max_bytes:
        raise too_large(f"the body unpacks to more than {max_bytes} bytes")
    if not engine.eof or engine.unused_data:
        raise RefusedRequestError(400, "malformed", "the body is no gzip, or is cut short")
    return unpacked


def too_large(message: str) -> RefusedRequestError:
    """Return the refusal of what is over a limit: send less at once."""
    return RefusedRequestError(413, "too_large", message)
