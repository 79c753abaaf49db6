"""A sink, looked at before anything is written to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowise_telemetry_consumer.sinks.port import KeepsProgress, Readable
from flowise_telemetry_consumer.sinks.registry import open_sink, sink_kind
from flowise_telemetry_schemas import EventSchema, TelemetryError
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, not_tried, ok

__all__ = ["look_at_sink"]


def look_at_sink(url: str, schemas: Sequence[EventSchema]) -> Iterator[Finding]:
    """Yield what is found of a sink, as far as its kind can tell without writing (``SinkKind.look``)."""
    try:
        look = sink_kind(url).look
        sink = open_sink(url, schemas)  # touches nothing; raises what its URL or a missing extra is refused with
        if look is not None:
            yield from look(url, schemas)
            return
        try:
            if isinstance(sink, KeepsProgress):
                yield ok("sink", f"{sink.url} can be read, and knows {len(sink.progress())} sources")
            elif isinstance(sink, Readable):
                yield ok("sink", f"{sink.url} can be read, and has {sum(sink.counts().values()):,} events")
        finally:
            sink.close()
    except TelemetryError as error:
        yield failed("sink", error)
        return
    yield not_tried("sink: right", "this kind of sink tells it only when it is written to")
