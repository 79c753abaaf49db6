"""Sinks of JSON lines: ``jsonl:-`` for a pipe, ``jsonl:///file`` for a file that is read back."""

from __future__ import annotations

import sys

from flowise_telemetry_consumer.sinks.jsonl.file import JsonLinesFile
from flowise_telemetry_consumer.sinks.jsonl.stream import JsonLinesStream
from flowise_telemetry_consumer.sinks.local_files import file_of

__all__ = ["JsonLinesFile", "JsonLinesStream", "open_jsonl"]


def open_jsonl(url: str) -> JsonLinesFile | JsonLinesStream:
    """Return the sink of a JSON lines URL."""
    if url == "jsonl:-":
        return JsonLinesStream(sys.stdout.buffer)
    return JsonLinesFile(file_of(url, "jsonl"))
