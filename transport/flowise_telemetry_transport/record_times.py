"""Records with and without a time of Kafka's, which never may be in one batch.

A broker refuses a batch as a whole where it refuses the time of one record in it (``InvalidTimestampException``). So a
record that was sent without a time, because the time was refused, would be refused again beside one that has it: then
for good.
"""

from __future__ import annotations

from flowise_telemetry_transport.types import OutgoingRecord

__all__ = ["NO_TIME", "RecordTimes", "without_time"]

NO_TIME = -1
"""Kafka's timestamp of a record that has none."""


def without_time(record: OutgoingRecord) -> OutgoingRecord:
    """Return the record as it is sent to a broker that refuses its time."""
    return OutgoingRecord(record.topic, record.key, record.value, record.headers, NO_TIME, record.partition)


class RecordTimes:
    """Which records a client has now: those with a time (it begins with them), or those without one."""

    __slots__ = ("undated",)

    def __init__(self) -> None:
        self.undated = False

    def would_mix(self, undated: bool, *, unanswered: bool) -> bool:
        """Return True if a record must wait until all that the client has are answered."""
        return unanswered and undated is not self.undated

    def begin(self, undated: bool) -> None:
        """Say what is sent from now on."""
        self.undated = undated
