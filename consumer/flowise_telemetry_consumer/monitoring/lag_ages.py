"""Ages of what partitions have unread, told by looks at their ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowise_telemetry_transport.types import TopicPartition

__all__ = ["LagAges"]


class LagAges:
    """Per partition the end at some look that is not reached yet: what lies before it is at least as old as that look.

    So an age is a lower bound, short by the time between two looks at most.
    """

    def __init__(self) -> None:
        self._unread: dict[TopicPartition, tuple[int, float]] = {}

    def look(self, partitions: Mapping[TopicPartition, tuple[int, int]], now: float) -> float | None:
        """Take each partition's position and end; return since when the oldest unread record has been there at least.

        None if all is read.
        """
        for tp, (position, end) in partitions.items():
            before, _ = self._unread.get(tp, (0, now))
            if position >= end:
                self._unread.pop(tp, None)
            elif position >= before:
                self._unread[tp] = end, now
        return self.keep(partitions.keys())

    def keep(self, partitions: Collection[TopicPartition]) -> float | None:
        """Forget all partitions but these; return what ``look`` does."""
        self._unread = {tp: seen for tp, seen in self._unread.items() if tp in partitions}
        return min((since for _, since in self._unread.values()), default=None)
