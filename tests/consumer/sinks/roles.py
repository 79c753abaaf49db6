"""Sinks of several roles, as tests need them typed."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from flowise_telemetry_consumer.sinks import KeepsProgress, Readable, Sink, Stageable, open_sink


@runtime_checkable
class ReadableSink(Sink, Readable, Protocol):
    """A sink that can be read back."""


@runtime_checkable
class ClaimedSink(ReadableSink, KeepsProgress, Protocol):
    """One that keeps progress too."""


@runtime_checkable
class DatabaseSink(ClaimedSink, Stageable, Protocol):
    """One that has all four roles."""


def open_readable(url: str) -> ReadableSink:
    sink = open_sink(url)
    assert isinstance(sink, ReadableSink)
    return sink


def open_claimed(url: str) -> ClaimedSink:
    sink = open_sink(url)
    assert isinstance(sink, ClaimedSink)
    return sink


def open_database(url: str) -> DatabaseSink:
    sink = open_sink(url)
    assert isinstance(sink, DatabaseSink)
    return sink
