"""The kinds of sinks, one entry per URL scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.installed import installed_kind, installed_schemes
from flowise_telemetry_consumer.sinks.kind import SinkKind
from flowise_telemetry_consumer.sinks.port import (
    Erasable,
    KeepsProgress,
    KnowsEvents,
    Prunable,
    Readable,
    Sink,
    Stageable,
)
from flowise_telemetry_schemas import ConfigurationError, EventSchema, MissingExtraError
from flowise_telemetry_transport.diagnosis.finding import Finding

__all__ = ["SINK_FORMS", "SINK_KINDS", "no_erasing", "no_pruning", "no_staging", "open_sink", "sink_kind", "told"]


def _adapter(folder: str, function: str) -> Callable[[str], Sink]:
    """Return an opener that imports the adapter when it is first called."""

    def open_url(url: str) -> Sink:
        sink: Sink = getattr(import_module(f"{__package__}.{folder}"), function)(url)
        return sink

    return open_url


def _look(folder: str) -> Callable[[str, Sequence[EventSchema]], Iterator[Finding]]:
    """Return a look that imports the adapter when it is first taken."""

    def look_at(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
        found: Iterator[Finding] = import_module(f"{__package__}.{folder}").look(url, schemas)
        return found

    return look_at


_DATABASE = frozenset({KeepsProgress, Readable, Stageable, Prunable, Erasable})
SINK_KINDS: tuple[SinkKind, ...] = (
    SinkKind(
        scheme="sqlite",
        open=_adapter("sqlite", "open_sqlite"),
        look=_look("sqlite"),
        example="sqlite:///file",
        writers="many",
        roles=_DATABASE,
    ),
    SinkKind(
        scheme="postgresql",
        open=_adapter("postgres", "open_postgres"),
        look=_look("postgres"),
        example="postgresql://user@host/database",
        writers="many",
        roles=_DATABASE,
        library="psycopg",
        extra="postgres",
    ),
    SinkKind(
        scheme="duckdb",
        open=_adapter("duckdb", "open_duckdb"),
        look=_look("duckdb"),
        example="duckdb:///file",
        writers="one",
        roles=_DATABASE,
        library="duckdb",
        extra="duckdb",
    ),
    SinkKind(
        scheme="clickhouse",
        open=_adapter("clickhouse", "open_clickhouse"),
        look=_look("clickhouse"),
        example="clickhouse://user@host:8443/database",
        writers="many",
        roles=_DATABASE,
        library="clickhouse_connect",
        extra="clickhouse",
    ),
    SinkKind(
        scheme="delta",
        open=_adapter("delta", "open_delta"),
        look=_look("delta"),
        example="delta:///folder",
        writers="many",
        roles=_DATABASE,
        library="deltalake",
        extra="delta",
    ),
    *(
        SinkKind(
            scheme=f"delta+{kind}",
            open=_adapter("delta", "open_delta_on_objects"),
            example=f"delta+{kind}://{bucket}/prefix",
            writers="many",
            roles=_DATABASE,
            library="deltalake",
            extra="delta",
        )
        for kind, bucket in (("s3", "bucket"), ("az", "container"), ("gs", "bucket"))
    ),
    SinkKind(
        scheme="jsonl",
        open=_adapter("jsonl", "open_jsonl"),
        look=_look("jsonl"),
        example="jsonl:- or jsonl:///file",
        writers="one",
        roles=frozenset({Readable, Prunable}),
    ),
)
"""The kinds of this distribution."""

SINK_FORMS = tuple(kind.example for kind in SINK_KINDS)
"""Their URLs, by example. ``scheme:///file`` is relative, ``scheme:////file`` absolute."""

_BY_SCHEME = {kind.scheme: kind for kind in SINK_KINDS}
# libpq accepts both schemes.
_BY_SCHEME["postgres"] = _BY_SCHEME["postgresql"]


def sink_kind(url: str) -> SinkKind:
    """Return the kind of sink that a URL names.

    Other packages can provide kinds (``sinks.installed``), but cannot replace ours. Raises ``ConfigurationError`` for a
    URL of an unknown scheme; its text never repeats the URL, which may hold a password.
    """
    scheme, colon, _ = url.partition(":")
    kind = (_BY_SCHEME.get(scheme) or installed_kind(scheme)) if colon else None
    if kind is None:
        raise ConfigurationError(f"not the URL of a sink; there are: {', '.join([*SINK_FORMS, *installed_schemes()])}")
    return kind


def open_sink(url: str, schemas: Iterable[EventSchema] | None = None) -> Sink:
    """Return the sink that a URL names. Nothing is touched before its first use.

    ``schemas`` are those of the events that it may hold, should it not be prepared; None: those that are shipped.

    Raises ``ConfigurationError`` as ``sink_kind``, and ``MissingExtraError`` if the sink's library is not installed.
    """
    kind = sink_kind(url)
    try:
        sink = kind.open(url)
    except ImportError as error:
        # psycopg without a libpq raises an ImportError that names no module. The package itself reports a missing
        # polars.
        if kind.library is not None and kind.extra is not None:
            raise MissingExtraError(kind.library, kind.extra) from error
        raise
    return told(sink, schemas)


def told(sink: Sink, schemas: Iterable[EventSchema] | None) -> Sink:
    """Return the sink, told of the events that it may hold."""
    if schemas is not None and isinstance(sink, KnowsEvents):
        sink.know(schemas)
    return sink


def no_staging(sink: Sink) -> SinkError:
    """Return the error for a sink that is not ``Stageable``; it names the kinds that are."""
    return SinkError(f"{sink.url} cannot have staging tables; these can: {_schemes_with(Stageable)}")


def no_pruning(sink: Sink) -> SinkError:
    """Return the error for a sink that is not ``Prunable``; it names the kinds that are."""
    return SinkError(f"{sink.url} cannot be pruned; these can: {_schemes_with(Prunable)}")


def no_erasing(sink: Sink) -> SinkError:
    """Return the error for a sink that is not ``Erasable``; it names the kinds that are."""
    return SinkError(f"{sink.url} keeps nothing that could be erased; these do: {_schemes_with(Erasable)}")


def _schemes_with(role: type) -> str:
    return ", ".join(kind.scheme for kind in SINK_KINDS if role in kind.roles)
