"""Puts a sender together out of the settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowise_telemetry import lifecycle
from flowise_telemetry.delivery.in_flight import InFlight, WriterFactory
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.sender import Sender
from flowise_telemetry.encoding.encoder import Encoder
from flowise_telemetry.identity.instance_id import InstanceId, load_secret

if TYPE_CHECKING:
    import queue

    from flowise_telemetry.delivery.queue import EventQueue
    from flowise_telemetry.settings import Limits, ProducerSettings
    from flowise_telemetry.spool.spool import Spool
    from flowise_telemetry.stats import Counts
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["SenderParts", "assemble"]

logger = logging.getLogger("flowise_telemetry")

_WINDOW_MAX_EVENTS = 5_000  # of a spool, in memory at once


@dataclass(slots=True)
class SenderParts:
    """A sender, and what of it must not be let go of in the child of a fork."""

    sender: Sender
    spool: Spool | None
    writer: RecordWriter | None = None


def assemble(
    settings: ProducerSettings,
    limits: Limits,
    *,
    app_version: str,
    stream_id: str,
    inbox: EventQueue,
    bell: queue.SimpleQueue[None],
    counts: Counts,
    may_send: Callable[[], bool],
    writer_factory: WriterFactory | None,
) -> SenderParts:
    """A sender that is not started. Touches no file and no network: that is left to its thread."""
    spool = _spool(settings, limits)
    outbox = PendingEvents(
        inbox,
        counts,
        max_age_seconds=limits.max_age_seconds,
        spool=spool,
        window_events=max(1, min(_WINDOW_MAX_EVENTS, limits.buffer_max_events // 2)),
    )

    def make_writer() -> RecordWriter:
        with lifecycle.loading():
            machinery.writer = _open_writer(settings, limits, writer_factory)
            lifecycle.connecting(stream_id)
        return machinery.writer

    def on_connected() -> None:
        lifecycle.connected(stream_id)
        lifecycle.watch_exit()

    def wake() -> None:
        if inbox.idle:
            inbox.idle = False
            bell.put(None)

    ledger = None
    if settings.ledger_path is not None and not settings.debug:
        from flowise_telemetry.ledger import Ledger

        ledger = Ledger(settings.ledger_path, max_bytes=limits.ledger_max_bytes)
    sender = Sender(
        inbox=inbox,
        bell=bell,
        counts=counts,
        outbox=outbox,
        deliveries=InFlight(
            topic=settings.topic,
            outbox=outbox,
            make_writer=make_writer,
            wake=wake,
            on_connected=on_connected,
            ledger=ledger,
        ),
        make_encoder=lambda: _make_encoder(settings, app_version, stream_id),
        may_send=may_send,
    )
    machinery = SenderParts(sender, spool)
    return machinery


def _make_encoder(settings: ProducerSettings, app_version: str, stream_id: str) -> Encoder:
    with lifecycle.loading():
        from flowise_telemetry_schemas.catalog import catalog

        catalog()  # loads fastavro
        return Encoder(app_version, InstanceId(load_secret(settings.environ)), stream_id)


def _spool(settings: ProducerSettings, limits: Limits) -> Spool | None:
    if settings.spool_dir is None or settings.debug:
        return None
    try:
        from flowise_telemetry.spool.spool import Spool
    except ImportError as error:  # a Python that was built without SQLite
        logger.warning("telemetry: no spool: %s", error)
        return None
    return Spool(settings.spool_dir, max_bytes=limits.spool_max_bytes)


def _open_writer(settings: ProducerSettings, limits: Limits, writer_factory: WriterFactory | None) -> RecordWriter:
    if writer_factory is not None and not settings.debug:
        return writer_factory()
    if settings.debug:
        from flowise_telemetry.delivery.debug import DebugWriter

        return DebugWriter()
    from flowise_telemetry.delivery.kafka import open_kafka_writer

    return open_kafka_writer(settings.kafka, buffer_bytes=limits.buffer_max_bytes)
