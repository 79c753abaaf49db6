"""Consumer settings. The defaults suit production."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from flowise_telemetry_consumer.dead_letters.limits import DeadLetterLimits
from flowise_telemetry_consumer.reading.batch import BatchLimits
from flowise_telemetry_consumer.retry import Backoff
from flowise_telemetry_consumer.sinks.refusals import MAX_REFUSED_PER_HOUR, OnRefused
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.topics import EVENTS_TOPIC, dead_letter_topic_of

__all__ = ["DEFAULT_GROUP", "ConsumerSettings", "dead_letter_topic_of"]

DEFAULT_GROUP = "flowise-telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """Settings of ``Consumer``.

    ``group`` must be the reader's. ``dead_letter_topic`` defaults to ``dead_letter_topic_of(topic)``. ``on_refused``:
    what becomes of a row that a rule of others refuses, see ``Refusals``.
    ``revoke_budget_seconds`` must be well below the session timeout, as no heartbeats are sent meanwhile, and
    ``stop_budget_seconds`` below the time after which a service manager kills the process.
    """

    topic: str = EVENTS_TOPIC
    dead_letter_topic: str = ""
    group: str = DEFAULT_GROUP
    batch: BatchLimits = field(default_factory=BatchLimits)
    limits: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    on_refused: OnRefused = "wait"
    max_refused_per_hour: int = MAX_REFUSED_PER_HOUR
    poll_seconds: float = 0.5
    retry_initial_seconds: float = 0.5
    retry_max_seconds: float = 30.0
    flush_seconds: float = 5.0
    commit_seconds: float = 5.0
    revoke_budget_seconds: float = 10.0
    stop_budget_seconds: float = 20.0

    def __post_init__(self) -> None:
        if not self.dead_letter_topic:
            object.__setattr__(self, "dead_letter_topic", dead_letter_topic_of(self.topic))
        if self.dead_letter_topic == self.topic:
            raise ConfigurationError(
                f"the dead letters of {self.topic} cannot go to the same topic; name another one",
                argument="dead_letter_topic",
            )

    def backoff(self, random: Random | None = None) -> Backoff:
        """Return the waits between attempts in an outage."""
        return Backoff(initial_seconds=self.retry_initial_seconds, max_seconds=self.retry_max_seconds, random=random)
