"""The next offsets that the sink holds for the group, and the way back where it holds less than it did."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.service.claim import Claimed, CommitNote, GroupState
from flowise_telemetry_transport.ports import RecordReader
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["HeldOffsets", "listed"]

logger = logging.getLogger("flowise_telemetry.consumer")

_SHOWN = 20
# Nobody polls meanwhile, so the three look-ups of a turn together stay far below MAX_POLL_AGE_SECONDS. One that is not
# answered is an outage, and is asked again after it.
_LOOK_UP_SECONDS = 10.0


class HeldOffsets:
    """Next offsets as the sink has stored them, of the partitions of one consumer. Used on the consumer's thread.

    The sink is the authority on what it holds. Where it lacks what the group has committed, or what this consumer saw
    it store, because it was restored or failed over, reading goes back to there; it never goes forward for the sink.
    """

    def __init__(self, reader: RecordReader, counters: ConsumerCounters, *, topic: str, group: str, sink: str) -> None:
        self._reader = reader
        self._counters = counters
        self._topic = topic
        self._group = group
        self._shown = sink
        self._sink_id: str | None = None
        self._topic_id: str | None = None
        self._held: dict[TopicPartition, int] = {}
        self._behind: dict[TopicPartition, tuple[int, int]] = {}
        self._why = ""
        self.unclaimed: frozenset[TopicPartition] = frozenset()

    @property
    def is_behind(self) -> bool:
        """True until ``go_back``, once the sink was found to lack something."""
        return bool(self._behind)

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note partitions that have to be claimed before anything of them is written."""
        self.unclaimed |= frozenset(partitions)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget partitions that are someone else's now."""
        self.unclaimed -= frozenset(partitions)
        for tp in partitions:
            self._held.pop(tp, None)
            self._behind.pop(tp, None)

    def look_up(self) -> GroupState:
        """Ask Kafka what a claim of the unclaimed partitions is compared with. Raises ``TransportError``."""
        self._topic_id = self._reader.topic_id(self._topic, timeout_seconds=_LOOK_UP_SECONDS) or self._topic_id
        commits = self._reader.commits(self.unclaimed, timeout_seconds=_LOOK_UP_SECONDS)
        return GroupState(commits, self._topic_id)

    def is_of_another_topic(self, topic_id: str | None) -> bool:
        """Return True if the topic has another id than when partitions were claimed: it was created again."""
        return None not in {topic_id, self._topic_id} and topic_id != self._topic_id

    def claimed(self, partitions: Collection[TopicPartition], claimed: Claimed) -> None:
        """Note what a claim said."""
        self.unclaimed -= frozenset(partitions)
        self._sink_id = claimed.sink
        # Not yet what the sink has: nothing may be written behind the gap before we have gone back.
        self._held |= {**claimed.held, **{tp: before for tp, (_, before) in claimed.behind.items()}}
        self._behind |= claimed.behind
        self._why = "it was restored or failed over"
        if claimed.other_sink:
            self._why = "the group wrote to another sink, or this one was made again"
        if claimed.new_topic:
            self._counters.recreated += 1
            self._why = f"topic {self._topic} was deleted and created again"
            logger.warning(
                "%s: %s since it was written to: reading the new one from its beginning", self._shown, self._why
            )
        self._note()

    def lacks(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that the sink refused a batch, as it holds no more than this."""
        self._behind |= {tp: (offset, self._held.get(tp, offset)) for tp, offset in next_offsets.items()}
        self._why = "it was restored or failed over"

    def of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return what the sink is known to hold."""
        return {tp: self._held[tp] for tp in partitions if tp in self._held}

    def wrote(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note what the sink has stored with a batch."""
        self._held |= next_offsets
        self._note()

    def go_back(self) -> frozenset[TopicPartition]:
        """Read on from what the sink holds, where it lacks something; return those partitions.

        Logs one warning with both offsets, and counts the records. Raises ``TransportError``: call it again then.
        """
        ours = self._reader.assignment()
        behind = {tp: offsets for tp, offsets in sorted(self._behind.items()) if tp in ours}
        begins = self._reader.beginning_offsets(behind, timeout_seconds=_LOOK_UP_SECONDS) if behind else {}
        for tp, (offset, _) in behind.items():
            self._reader.seek(tp, max(offset, begins[tp]))
            self._held[tp] = offset
        self._behind = {}
        expired = sum(max(0, min(begins[tp], before) - offset) for tp, (offset, before) in behind.items())
        again = sum(before - offset for offset, before in behind.values()) - expired
        self._counters.reread += again
        shown = ", ".join(
            f"{tp.topic}[{tp.partition}] at {offset}, committed {before}"
            for tp, (offset, before) in list(behind.items())[:_SHOWN]
        )
        more = f" and {len(behind) - _SHOWN} more partitions" if len(behind) > _SHOWN else ""
        gone = f"; {expired:,} more are gone, retention has removed them" if expired else ""
        if behind:
            logger.warning(
                "%s holds less than group %s has committed (%s%s): reading %s records again%s; %s",
                *(self._shown, self._group, shown, more, f"{again:,}", gone, self._why),
            )
        return frozenset(behind)

    def _note(self) -> None:
        """Have commits say what the sink held by then."""
        if self._sink_id is not None:
            notes = {tp: CommitNote(self._sink_id, self._held.get(tp)) for tp in self._reader.assignment()}
            self._reader.set_commit_metadata({tp: note.text() for tp, note in notes.items()})


def listed(partitions: Collection[TopicPartition]) -> str:
    """Return partitions for a message."""
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(set(partitions)))
