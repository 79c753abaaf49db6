"""Check that a sink is the one whose dead letters are redriven: it knows the consumer group that filed them."""

from __future__ import annotations

from flowise_telemetry_consumer.dead_letters.stored import UNKNOWN
from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["require_known_group"]

_REPLAYS = ("replay/", "archive/")
"""Beginnings of the sources that are no consumer groups."""


def require_known_group(sink: Sink, group: str | None) -> None:
    """Raise ``ConfigurationError`` if a sink has no progress of a consumer group: receipts would say it has the events.

    Letters without a group (None, or ``unknown``) belong to any sink that a consumer has written to. Creates nothing.
    Raises ``SinkUnavailableError``.
    """
    whose = "a consumer group" if group in (None, UNKNOWN) else f"the group {group}"
    why = f"{sink.url} does not know {whose}"
    if not isinstance(sink, KeepsProgress):
        why = f"{sink.url} keeps no progress, so nothing says that it is the sink of {whose}"
    else:
        try:
            known = {source for progress in sink.progress() if not (source := progress.source).startswith(_REPLAYS)}
        except SinkUnavailableError:
            raise
        except SinkError as error:  # there is no such file, folder or database
            why = f"{why}: {error.message}"
        else:
            if group in known or (known and group in (None, UNKNOWN)):
                return
            if known:
                why = f"{why}, only {', '.join(sorted(known))}"
    raise ConfigurationError(
        f"{why}; check the URL, or say that it is a new sink that the letters belong into", argument="new_sink"
    )
