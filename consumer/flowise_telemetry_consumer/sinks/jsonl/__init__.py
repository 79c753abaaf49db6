"""Sinks of JSON lines: ``jsonl:-`` for a pipe, ``jsonl:///file`` for a file that is read back."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flowise_telemetry_consumer.sinks.jsonl.file import JsonLinesFile
from flowise_telemetry_consumer.sinks.jsonl.stream import JsonLinesStream
from flowise_telemetry_consumer.sinks.local_files import file_of

if TYPE_CHECKING:
    from flowise_telemetry_schemas import EventSchema
    from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["JsonLinesFile", "JsonLinesStream", "look", "open_jsonl"]


def open_jsonl(url: str) -> JsonLinesFile | JsonLinesStream:
    """Return the sink of a JSON lines URL."""
    if url == "jsonl:-":
        return JsonLinesStream(sys.stdout.buffer)
    return JsonLinesFile(file_of(url, "jsonl"))


def look(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """See ``SinkKind.look``."""
    from flowise_telemetry_consumer.sinks.file_place import look_at_place
    from flowise_telemetry_transport.diagnosis.finding import ok

    if url == "jsonl:-":
        return iter([ok("sink", "standard output")])
    return look_at_place(file_of(url, "jsonl"), url)
