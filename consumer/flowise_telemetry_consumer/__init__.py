"""The consumer: write a topic's events to a sink and its invalid records to the dead-letter topic; replay topics.

The names here are the public API, with ``flowise_telemetry_consumer.sinks`` (``open_sink`` and the port of a sink).
"""

from flowise_telemetry_schemas.errors import MissingExtraError

try:
    import polars as _polars  # noqa: F401 - the whole package needs it
except ImportError as error:
    raise MissingExtraError("polars", "consumer") from error

from flowise_telemetry_consumer.dead_letters.limits import DeadLetterLimits
from flowise_telemetry_consumer.dead_letters.reader import current_dead_letters
from flowise_telemetry_consumer.dead_letters.redrive import RedriveResult, redrive
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.summary import DeadLetterSummary, list_dead_letters
from flowise_telemetry_consumer.dead_letters.writer import open_dead_letter_writer
from flowise_telemetry_consumer.errors import (
    DeadLetterLimitError,
    FencedError,
    IncompleteReadError,
    SinkError,
    SinkInUseError,
    SinkUnavailableError,
    TopicChangedError,
    UnknownRunError,
)
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.reading.batch import BatchLimits
from flowise_telemetry_consumer.replay.bounds import Bound
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint, list_runs
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.loop import replay
from flowise_telemetry_consumer.replay.report import ReplayResult
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.service.consumer import Consumer
from flowise_telemetry_consumer.service.settings import ConsumerSettings

__all__ = [
    "BatchLimits",
    "Bound",
    "Consumer",
    "ConsumerCounters",
    "ConsumerSettings",
    "DeadLetterLimitError",
    "DeadLetterLimits",
    "DeadLetterSummary",
    "FencedError",
    "IncompleteReadError",
    "RecordFilter",
    "RedriveResult",
    "ReplayCheckpoint",
    "ReplayRequest",
    "ReplayResult",
    "RunControl",
    "Shard",
    "SinkError",
    "SinkInUseError",
    "SinkUnavailableError",
    "StoredDeadLetter",
    "TopicChangedError",
    "UnknownRunError",
    "current_dead_letters",
    "list_dead_letters",
    "list_runs",
    "open_dead_letter_writer",
    "redrive",
    "replay",
]
