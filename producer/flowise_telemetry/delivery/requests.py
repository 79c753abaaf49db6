"""What the app's threads ask of the sender thread, and what it answers."""

from __future__ import annotations

from flowise_telemetry.delivery.kept_calls import KeptCalls

__all__ = ["Requests"]


class Requests:
    """Plain attributes, each written by one side: nobody waits for a lock, whichever threads there are.

    A thread of the app that waits looks at them in short intervals. So it waits in ``time.sleep`` alone, which gevent
    and eventlet replace for everyone at once, whenever they were told to.
    """

    __slots__ = ("_flushes", "_stop", "keeping", "kept_calls", "lowest_unsettled", "over", "progress_at")

    def __init__(self) -> None:
        self._flushes: list[None] = []
        self._stop: tuple[float, float, float] | None = None
        self.kept_calls = KeptCalls()
        """Asked: call back once events are in the spool, if there is one."""
        self.lowest_unsettled = 0
        """Answered while a flush waits: every event with a lower sequence is delivered or dropped."""
        self.progress_at = float("-inf")
        """Answered: when it last got on, by the monotonic clock: client connected, events delivered; infinity while it
        imports.
        """
        self.keeping = False
        """Answered: it writes to the spool, or closes; it does not hang in the client."""
        self.over = False
        """Answered: the thread has ended."""

    def begin_flush(self) -> None:
        """Ask for ``lowest_unsettled``; several threads may."""
        self._flushes.append(None)

    def end_flush(self) -> None:
        """Ask no longer."""
        self._flushes.pop()

    @property
    def flushing(self) -> bool:
        """True while a thread asks for ``lowest_unsettled``."""
        return bool(self._flushes)

    def ask_to_stop(self, now: float, seconds: float, patience_seconds: float = 0.0) -> None:
        """Ask to end after the time, or before if everything is settled.

        With ``patience_seconds`` the time begins anew whenever the thread gets on, and takes so much longer at most.
        """
        self._stop = (now, seconds, patience_seconds)

    @property
    def stop_at(self) -> float | None:
        """The monotonic time of the end; None if nobody asked."""
        if self._stop is None:
            return None
        asked_at, seconds, patience_seconds = self._stop
        return seconds + min(asked_at + patience_seconds, max(asked_at, self.progress_at))
