"""The protocol by which a group rebalances, out of the client's settings."""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["is_cooperative", "member_config"]

_EAGER = frozenset({"range", "roundrobin"})
_COOPERATIVE = "cooperative-sticky"


def is_cooperative(settings: KafkaSettings) -> bool:
    """Return whether partitions come and go one by one: ``cooperative-sticky`` (KIP-429), or KIP-848.

    Raises ``ConfigurationError`` for an assignor that the client does not have, and for eager and cooperative ones in
    one list.
    """
    options = _options(settings)
    if _is_next_generation(options):
        return True
    option, text = options.get("partition.assignment.strategy", ("", ""))
    named = {name.strip() for name in text.split(",") if name.strip()}
    unknown = named - _EAGER - {_COOPERATIVE}
    if unknown:
        known = ", ".join(sorted(_EAGER | {_COOPERATIVE}))
        raise ConfigurationError(f"Kafka setting {option}: librdkafka has no assignor {min(unknown)!r}: use {known}")
    if _COOPERATIVE in named and len(named) > 1:
        raise ConfigurationError(f"Kafka setting {option}: {_COOPERATIVE} cannot be combined with others")
    return _COOPERATIVE in named


def member_config(settings: KafkaSettings) -> dict[str, int]:
    """Return what a member tells of itself: with KIP-848 the broker sets the session timeout, and the client none."""
    if _is_next_generation(_options(settings)):
        return {}
    return {"session.timeout.ms": int(settings.session_timeout_seconds * 1000)}


def _is_next_generation(options: Mapping[str, tuple[str, str]]) -> bool:
    return options.get("group.protocol", ("", ""))[1].strip().lower() == "consumer"


def _options(settings: KafkaSettings) -> dict[str, tuple[str, str]]:
    """Return by librdkafka's name of a setting the name that it was given under, and its text."""
    return {option.replace("_", ".").lower(): (option, text) for option, text in settings.options.items()}
