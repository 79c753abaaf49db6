"""Wait until events are on disk, for many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from flowise_telemetry_gateway.refusal import RefusedRequestError

__all__ = ["KeepsEvents", "Kept"]

_WINDOW_SECONDS = 0.005
_RETRY_SECONDS = 5


class KeepsEvents(Protocol):
    """What is used of ``Telemetry``."""

    def when_kept(self, call: Callable[[], None]) -> None:
        """Call back, on any thread, once everything accepted before is on disk."""


class Kept:
    """Asks once for all requests of five milliseconds: to wake another thread costs more than most events do."""

    def __init__(self, telemetry: KeepsEvents, *, answer_seconds: float) -> None:
        self._telemetry = telemetry
        self._answer_seconds = answer_seconds
        self._waiting: list[asyncio.Future[bool]] = []

    async def wait(self) -> None:
        """Return once what was relayed is on disk. Raises ``RefusedRequestError`` (503) where that takes too long."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(_WINDOW_SECONDS, self._ask, loop)
        mine: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(mine)
        if not await mine:
            raise RefusedRequestError(503, "unavailable", "the disk takes too long", retry_after_seconds=_RETRY_SECONDS)

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        late = loop.call_later(self._answer_seconds, _settle, waiting, False)

        def settle() -> None:
            late.cancel()
            _settle(waiting, True)

        def call() -> None:
            loop.call_soon_threadsafe(settle)

        self._telemetry.when_kept(call)


def _settle(waiting: list[asyncio.Future[bool]], kept: bool) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(kept)
