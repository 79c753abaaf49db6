"""The service: events from the topic into a sink, what cannot be read into the dead-letter topic, and replays."""

from flowise_telemetry_schemas.errors import MissingExtraError

try:
    import polars as _polars  # noqa: F401 - all of this package needs it
except ImportError as error:
    raise MissingExtraError("polars", "consumer") from error

from flowise_telemetry_consumer.dead_letter import DeadLetter
from flowise_telemetry_consumer.dead_letters.inspect import DecodedField, InspectedValue, hexdump, inspect
from flowise_telemetry_consumer.dead_letters.limits import DeadLetterLimits
from flowise_telemetry_consumer.dead_letters.reader import UnreadLetters, current_dead_letters, read_dead_letters
from flowise_telemetry_consumer.dead_letters.redrive import DEFAULT_MAX_REDRIVES, RedriveResult, redrive
from flowise_telemetry_consumer.dead_letters.stored import StoredDeadLetter
from flowise_telemetry_consumer.dead_letters.summary import DeadLetterGroup, DeadLetterSummary, list_dead_letters
from flowise_telemetry_consumer.dead_letters.writer import MAX_DEAD_LETTER_BYTES, open_dead_letter_writer
from flowise_telemetry_consumer.decoding.decoder import Decoded, Decoder
from flowise_telemetry_consumer.errors import (
    DeadLetterLimitError,
    DeadLetterRefusedError,
    DeadLetterUnavailableError,
    FencedError,
    IncompleteReadError,
    SinkError,
    SinkInUseError,
    SinkUnavailableError,
    TopicChangedError,
)
from flowise_telemetry_consumer.monitoring.counters import ConsumerCounters
from flowise_telemetry_consumer.reading.batch import BatchLimits
from flowise_telemetry_consumer.replay import (
    Bound,
    PartitionResult,
    RecordFilter,
    ReplayCheckpoint,
    ReplayRequest,
    ReplayResult,
    Shard,
    UnknownRunError,
    find_run,
    list_runs,
    ranges_text,
    replay,
    time_text,
)
from flowise_telemetry_consumer.service.consumer import Consumer
from flowise_telemetry_consumer.service.settings import DEFAULT_GROUP, ConsumerSettings, dead_letter_topic_of

__all__ = [
    "DEFAULT_GROUP",
    "DEFAULT_MAX_REDRIVES",
    "MAX_DEAD_LETTER_BYTES",
    "BatchLimits",
    "Bound",
    "Consumer",
    "ConsumerCounters",
    "ConsumerSettings",
    "DeadLetter",
    "DeadLetterGroup",
    "DeadLetterLimitError",
    "DeadLetterLimits",
    "DeadLetterRefusedError",
    "DeadLetterSummary",
    "DeadLetterUnavailableError",
    "Decoded",
    "DecodedField",
    "Decoder",
    "FencedError",
    "IncompleteReadError",
    "InspectedValue",
    "PartitionResult",
    "RecordFilter",
    "RedriveResult",
    "ReplayCheckpoint",
    "ReplayRequest",
    "ReplayResult",
    "Shard",
    "SinkError",
    "SinkInUseError",
    "SinkUnavailableError",
    "StoredDeadLetter",
    "TopicChangedError",
    "UnknownRunError",
    "UnreadLetters",
    "current_dead_letters",
    "dead_letter_topic_of",
    "find_run",
    "hexdump",
    "inspect",
    "list_dead_letters",
    "list_runs",
    "open_dead_letter_writer",
    "ranges_text",
    "read_dead_letters",
    "redrive",
    "replay",
    "time_text",
]
