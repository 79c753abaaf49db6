"""The consumer's errors.

    TelemetryError (flowise_telemetry_schemas.errors)
    ├── IncompleteReadError         the end of a range of offsets was not reached
    │   └── OutageError             sink or broker stayed unavailable for longer than the run may wait
    ├── TopicChangedError           the topic was deleted and created again: its offsets mean other records now
    ├── UnknownRunError             the sink has no replay of that id
    ├── WorkerError                 a worker process of a replay failed or was killed
    ├── DeadLetterLimitError        too many records are dead letters: the fault is elsewhere
    ├── DeadLetterRefusedError      the cluster refuses a dead letter, and will refuse it again until someone mends it
    ├── DeadLetterUnavailableError  dead letters are not acknowledged yet (retryable)
    └── SinkError                   the sink refused, and will refuse again until someone mends it
        ├── FencedError             another writer has claimed the partitions since
        ├── SinkBehindError         the sink holds less than it held before: it was restored or failed over
        ├── SinkDeniedError         it refuses credentials or rights, which its owner can give back meanwhile
        ├── SinkInUseError          another process holds the lock
        └── SinkUnavailableError    an outage: a lost connection, a lock held by others, a full disk (retryable)
            ├── SinkTooSlowError    the write was not over within its bound: a smaller one may be
            ├── RowRefusedError     a rule that others added to a table refuses a row: they have to mend it
            └── SnapshotGoneError   what was being read was removed meanwhile: read the newest state

Messages name the sink with its password masked and never contain the value of a field.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.types import TopicPartition

__all__ = [
    "DeadLetterLimitError",
    "DeadLetterRefusedError",
    "DeadLetterUnavailableError",
    "FencedError",
    "IncompleteReadError",
    "OutageError",
    "RowRefusedError",
    "SinkBehindError",
    "SinkDeniedError",
    "SinkError",
    "SinkInUseError",
    "SinkTooSlowError",
    "SinkUnavailableError",
    "SnapshotGoneError",
    "TopicChangedError",
    "UnknownRunError",
    "WorkerError",
]


class IncompleteReadError(TelemetryError):
    """The end of the range was not reached: no records were received for too long, or the run was stopped."""


class OutageError(IncompleteReadError):
    """An outage of sink or broker lasted longer than the run may wait for its end."""


class TopicChangedError(TelemetryError):
    """The topic was deleted and created again, so its offsets mean other records now."""


class UnknownRunError(TelemetryError):
    """The sink has no replay of that id, or the progress stored under the id belongs to another request."""


class WorkerError(TelemetryError):
    """A worker of a replay failed or was killed. Its rows stay written, and the replay can be resumed.

    Retryable if the worker was killed, or if its own error was retryable.
    """


class DeadLetterLimitError(TelemetryError):
    """Too many dead letters. Nothing of the batch was written or committed: a restart reads it again."""


class DeadLetterRefusedError(TelemetryError):
    """The cluster refuses a dead letter. The consumer stops, because continuing would lose the record's bytes."""


class DeadLetterUnavailableError(TelemetryError):
    """Dead letters are not acknowledged yet. The same call may be made again: it continues with the rest."""

    retryable = True


class SinkError(TelemetryError):
    """The sink refused: wrong credentials, a missing right, a file that is not a database. Nothing was written."""


class FencedError(SinkError):
    """Another sink has since claimed a partition of this batch. Nothing was written: the new owner writes it."""


class SinkBehindError(SinkError):
    """The sink holds less of its source than it held before: it was restored, or failed over to a standby.

    Nothing of the batch was written, so that the gap stays visible. ``next_offsets`` are what the sink has, of the
    partitions that are behind; 0 where it knows nothing of one. Read again from there.
    """

    def __init__(self, message: str, next_offsets: Mapping[TopicPartition, int]) -> None:
        super().__init__(message)
        self.next_offsets = dict(next_offsets)


class SinkDeniedError(SinkError):
    """The sink refuses our credentials, or a right. Nothing was written.

    Not retryable, so that a wrong password shows at once. A consumer that has written before waits for its end, as for
    that of an outage: the owner of the sink can mend it meanwhile.
    """


class SinkInUseError(SinkError):
    """Another process holds the lock that was asked for."""


class SinkUnavailableError(SinkError):
    """The sink is unavailable for now. The same write may be made again: rows that got through are not repeated."""

    retryable = True


class SinkTooSlowError(SinkUnavailableError):
    """The write was not over within its bound and changed nothing. A smaller one may be; others may hold a lock too."""


class SnapshotGoneError(SinkUnavailableError):
    """A state that was being read was removed by a vacuum or an overwrite. The newest state can be read."""


class RowRefusedError(SinkUnavailableError):
    """A rule that someone added to a table refuses a row. Whoever added it has to mend that.

    A consumer waits for it as for an outage, and is not ready: one that ended would be started again for ever.
    """
