"""The service: events from the topic into a sink, what cannot be read into the dead-letter topic, and replays."""

from flowise_telemetry_schemas.errors import MissingExtraError

try:
    import polars as _polars  # noqa: F401 - all of this package needs it
except ImportError as error:
    raise MissingExtraError("polars", "consumer") from error

from flowise_telemetry_consumer.batch import BatchLimits
from flowise_telemetry_consumer.consumer import Consumer
from flowise_telemetry_consumer.dead_letter_limits import DeadLetterLimitError, DeadLetterLimits
from flowise_telemetry_consumer.dead_letter_queue import (
    MAX_DEAD_LETTER_BYTES,
    DeadLetterRefusedError,
    DeadLetterUnavailableError,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.dead_letters import DeadLetter
from flowise_telemetry_consumer.decoder import Decoded, Decoder
from flowise_telemetry_consumer.errors import FencedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.filed_dead_letters import (
    DeadLetterSummary,
    FiledDeadLetter,
    list_dead_letters,
    read_dead_letters,
)
from flowise_telemetry_consumer.progress import Progress
from flowise_telemetry_consumer.replay import PartitionResult, ReplayResult, replay
from flowise_telemetry_consumer.settings import DEFAULT_GROUP, DEFAULT_TOPIC, ConsumerSettings, dead_letter_topic_of
from flowise_telemetry_consumer.topic_range import IncompleteReadError, TopicRange

__all__ = [
    "DEFAULT_GROUP",
    "DEFAULT_TOPIC",
    "MAX_DEAD_LETTER_BYTES",
    "BatchLimits",
    "Consumer",
    "ConsumerSettings",
    "DeadLetter",
    "DeadLetterLimitError",
    "DeadLetterLimits",
    "DeadLetterRefusedError",
    "DeadLetterSummary",
    "DeadLetterUnavailableError",
    "Decoded",
    "Decoder",
    "FencedError",
    "FiledDeadLetter",
    "IncompleteReadError",
    "PartitionResult",
    "Progress",
    "ReplayResult",
    "SinkError",
    "SinkInUseError",
    "SinkUnavailableError",
    "TopicRange",
    "dead_letter_topic_of",
    "list_dead_letters",
    "open_dead_letter_writer",
    "read_dead_letters",
    "replay",
]
