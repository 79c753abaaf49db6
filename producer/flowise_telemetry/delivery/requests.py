"""What the app's threads ask of the sender thread, and what it answers."""

from __future__ import annotations

__all__ = ["Requests"]


class Requests:
    """Plain attributes, each written by one side: nobody waits for a lock, whichever threads there are.

    A thread of the app that waits looks at them in short intervals. So it waits in ``time.sleep`` alone, which gevent
    and eventlet replace for everyone at once, whenever they were told to.
    """

    __slots__ = ("_flushes", "keeping", "loaded", "lowest_unsettled", "over", "stop_at")

    def __init__(self) -> None:
        self._flushes: list[None] = []
        self.stop_at: float | None = None
        """Asked: end at this monotonic time, or before if everything is settled."""
        self.lowest_unsettled = 0
        """Answered while a flush waits: every event with a lower sequence is delivered or dropped."""
        self.loaded = False
        """Answered: everything is imported, the Kafka client too."""
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
