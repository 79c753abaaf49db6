"""The body of a request, bounded as it is sent and as it unpacks."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Protocol

from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.limits import GatewayLimits
from flowise_telemetry_gateway.refusal import RefusedRequestError

__all__ = ["BodyReader", "Request", "decompressed", "too_large"]

_GZIP = b"\x1f\x8b"
_BUSY_SECONDS = 2


class Request(Protocol):
    """What is used of Starlette's ``Request``."""

    @property
    def headers(self) -> _Headers:
        """The headers; names are in lower case."""

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""


class _Headers(Protocol):
    def get(self, key: str, default: str = "", /) -> str:
        """Return the value of a header."""


class BodyReader:
    """Reads bodies; all of them together take at most ``bodies_max_bytes``, each for as long as it is in use."""

    def __init__(self, limits: GatewayLimits, counters: GatewayCounters) -> None:
        self._limits = limits
        self._counters = counters

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
        """Return the body, unpacked. Raises ``RefusedRequestError``: 400, 408, 413, 415, 503."""
        limit = self._limits.body_max_bytes
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise too_large(f"the body has more than {limit} bytes")
        raw = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    if len(raw) + len(part) > limit:
                        raise too_large(f"the body has more than {limit} bytes")
                    self.hold(held, len(part))
                    raw += part
        except TimeoutError:
            raise RefusedRequestError(408, "timeout", "the body took too long to arrive") from None
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise RefusedRequestError(415, "unsupported", "a body is plain or of Content-Encoding gzip")
        # posthog-js says so in the address alone, with another type.
        if not raw.startswith(_GZIP):
            if "gzip" in encoding:
                raise RefusedRequestError(400, "malformed", "the body is not gzip")
            return bytes(raw)
        unpacked = decompressed(raw, self._limits.decompressed_max_bytes)
        self.hold(held, len(unpacked))
        return unpacked


def decompressed(raw: bytes | bytearray, max_bytes: int) -> bytes:
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
