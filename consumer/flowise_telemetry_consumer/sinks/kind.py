"""The registry entry of a URL scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import EventSchema
from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["SinkKind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind:
    """Everything known of a URL scheme before a sink is opened.

    ``open`` takes the URL and touches nothing yet; it is the place to import the sink's library. ``example`` is a URL
    for help texts. ``writers`` is "many" if several processes may write at once. ``roles`` are the Protocols of
    ``sinks.port`` that its sinks implement beside ``Sink`` (``KeepsProgress``, ``Readable``, ``Stageable``,
    ``Prunable``); if that
    depends on the rest of the URL, those of the most capable one.

    ``look`` yields what ``prepare`` and ``write`` would meet at a URL, for these schemas, changes nothing, and raises
    as they do. None: all that can be told is what reading tells.

    ``library`` and ``extra`` belong to sinks of this distribution: the module that ``open`` needs, and the extra that
    installs it.
    """

    scheme: str
    open: Callable[[str], Sink]
    example: str
    writers: Literal["one", "many"]
    roles: frozenset[type] = frozenset()
    library: str | None = None
    extra: str | None = None
    look: Callable[[str, Sequence[EventSchema]], Iterator[Finding]] | None = None
