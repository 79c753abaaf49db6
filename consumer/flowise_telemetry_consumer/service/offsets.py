"""Which offsets may be committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Offsets"]


class Offsets:
    """Per partition the next offset up to which everything is in the sink or the dead-letter topic.

    Batches are handled one after the other and each holds a partition's records in offset order, so the offset
    after the last record of a handled batch is contiguous, gaps included.
    """

    def __init__(self) -> None:
        self._handled: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def handled(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Everything before these is handled."""
        for partition, offset in next_offsets.items():
            self._handled[partition] = max(offset, self._handled.get(partition, 0))

    def known(self) -> dict[TopicPartition, int]:
        """The partitions of which something was handled, and up to where."""
        return dict(self._handled)

    def pending(self) -> dict[TopicPartition, int]:
        """What is handled and not committed."""
        return {
            partition: offset for partition, offset in self._handled.items() if self._committed.get(partition) != offset
        }

    def committed(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """The group's coordinator has these."""
        self._committed.update(next_offsets)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These are someone else's, or will be read again from what is committed."""
        for partition in partitions:
            self._handled.pop(partition, None)
            self._committed.pop(partition, None)
