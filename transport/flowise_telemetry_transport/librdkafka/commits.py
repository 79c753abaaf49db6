"""Commits through librdkafka: a member's are sent without waiting, and answered in ``poll``."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowise_telemetry_schemas.errors import TelemetryError
from flowise_telemetry_transport.errors import TransportError
from flowise_telemetry_transport.librdkafka.client import confluent_kafka
from flowise_telemetry_transport.librdkafka.errors import translate_error, translate_exception
from flowise_telemetry_transport.types import OnCommitted

__all__ = ["Commits", "commit_now"]

_MOST = 100
_Offsets = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class _Sent:
    offsets: _Offsets
    doing: str
    on_done: OnCommitted


class Commits:
    """What was sent and not answered yet; ``answered`` is the client's ``on_commit``.

    A commit that waits does so without a bound while the brokers are away, and in a thread of its own it would keep
    ``poll`` waiting: confluent-kafka lets one call on a consumer through at a time (since 2.16, its pull request 2322).
    """

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque(maxlen=_MOST)  # of those that are never answered none is kept for long

    def send(self, consumer: Any, client_offsets: Sequence[Any], doing: str, on_done: OnCommitted) -> None:
        """Send offsets; ``on_done`` is called now, or by a later ``poll`` of the consumer."""
        if not client_offsets:  # librdkafka would commit its stored offsets
            on_done(None)
            return
        sent = _Sent(_offsets_of(client_offsets), doing, on_done)
        self._sent.append(sent)
        try:
            consumer.commit(offsets=client_offsets, asynchronous=True)
        except confluent_kafka().KafkaException as error:
            self._sent.remove(sent)
            on_done(translate_exception(error, doing))

    def answered(self, error: Any, partitions: Sequence[Any]) -> None:
        """Tell whoever sent these offsets."""
        offsets = _offsets_of(partitions)
        sent = next((one for one in self._sent if one.offsets == offsets), None)
        if sent is not None:
            self._sent.remove(sent)
            sent.on_done(_error_of(error, partitions, sent.doing))


def commit_now(consumer: Any, client_offsets: Sequence[Any], doing: str) -> TelemetryError | None:
    """Commit, and wait for the answer without a bound; return the error, as this runs in a thread that cannot raise."""
    if not client_offsets:  # as above
        return None
    try:
        return _error_of(None, consumer.commit(offsets=client_offsets, asynchronous=False) or (), doing)
    except confluent_kafka().KafkaException as error:
        return translate_exception(error, doing)
    except Exception as error:
        return TransportError(f"{doing}: {error}")


def _offsets_of(partitions: Sequence[Any]) -> _Offsets:
    return {(its.topic, its.partition): its.offset for its in partitions}


def _error_of(error: Any, partitions: Sequence[Any], doing: str) -> TelemetryError | None:
    for its in partitions:
        if its.error is not None:
            return translate_error(its.error, doing, topic=its.topic)
    return None if error is None else translate_error(error, doing)
