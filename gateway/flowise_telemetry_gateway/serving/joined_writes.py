"""Head and body of an answer in one packet: uvicorn writes them apart, and each write is a system call."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["JoinedWrites", "joining"]


class JoinedWrites:
    """A transport that writes at once what is given to it in one turn of the event loop; all else is the inner's."""

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Hold the bytes until the turn ends."""
        if not self._held:
            self._call_soon(self._write_held)
        self._held.append(data)

    def close(self) -> None:
        """Write what is held, and close the inner transport."""
        self._write_held()
        self._inner.close()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        if held and not self._inner.is_closing():
            self._inner.write(b"".join(held))


def joining(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol class, with ``JoinedWrites`` in front of each connection's transport."""

    class Joining(protocol):  # type: ignore[valid-type,misc]  # whichever uvicorn chose
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(JoinedWrites(transport))

    return Joining
