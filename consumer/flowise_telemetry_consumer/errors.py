"""What can go wrong between the topic and the sink.

    TelemetryError (flowise_telemetry_schemas.errors)
    ├── IncompleteReadError       the end of a range of offsets was not reached
    ├── TopicChangedError         the topic was deleted and created again: its offsets mean other records now
    ├── DeadLetterLimitError        too many records are dead letters: the fault is elsewhere
    ├── DeadLetterRefusedError      the cluster refuses a dead letter, and will refuse it again until someone mends it
    ├── DeadLetterUnavailableError  dead letters are not acknowledged yet (retryable)
    └── SinkError                 the sink refused, and will refuse again until someone mends it
        ├── FencedError           another writer has taken over; what it writes counts
        ├── SinkInUseError        another process has what was to be locked
        └── SinkUnavailableError  an outage: a lock, a lost connection, a full disk (retryable)

Messages name the sink with its password masked and never contain the value of a field.
"""

from __future__ import annotations

from flowise_telemetry_schemas.errors import TelemetryError

__all__ = [
    "DeadLetterLimitError",
    "DeadLetterRefusedError",
    "DeadLetterUnavailableError",
    "FencedError",
    "IncompleteReadError",
    "SinkError",
    "SinkInUseError",
    "SinkUnavailableError",
    "TopicChangedError",
]


class IncompleteReadError(TelemetryError):
    """The end of the range was not reached: nothing came for too long, or it was told to stop."""


class TopicChangedError(TelemetryError):
    """The topic is another one than before: it was deleted and made again, so offsets mean other records now."""


class DeadLetterLimitError(TelemetryError):
    """Too many dead letters. Nothing of the batch was written or committed: a restart reads it again."""


class DeadLetterRefusedError(TelemetryError):
    """The cluster refuses a dead letter. The consumer stops, because going on would lose the record's bytes."""


class DeadLetterUnavailableError(TelemetryError):
    """Dead letters are not acknowledged yet. The same call may be made again: it continues with the rest."""

    retryable = True


class SinkError(TelemetryError):
    """The sink refused: wrong credentials, a missing right, a file that is no database. Nothing was written."""


class FencedError(SinkError):
    """Another sink has claimed a partition of this batch since. Nothing was written, and its new owner writes it."""


class SinkInUseError(SinkError):
    """Another process holds the lock that was asked for."""


class SinkUnavailableError(SinkError):
    """The sink is away for now. The same write may be made again: what did get through is not written twice."""

    retryable = True
