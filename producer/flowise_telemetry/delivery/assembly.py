"""Assemble a sender from the settings."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry import lifecycle
from flowise_telemetry.config_folder import last_opt_out_ms
from flowise_telemetry.delivery.batch_bound import BatchBound
from flowise_telemetry.delivery.in_flight import Explain, InFlight, WriterFactory
from flowise_telemetry.delivery.pending import PendingEvents
from flowise_telemetry.delivery.schema_ids import RegisteredWriter, SchemaIds, look_up_with
from flowise_telemetry.delivery.sender import Sender
from flowise_telemetry.encoding.encoder import Encoder, new_stream_id
from flowise_telemetry.identity.instance_id import InstanceId, load_secret
from flowise_telemetry_transport.interpreters import in_sub_interpreter

if TYPE_CHECKING:
    from flowise_telemetry.content import Content
    from flowise_telemetry.delivery.queue import EventQueue
    from flowise_telemetry.delivery.requests import Requests
    from flowise_telemetry.delivery.wakeup import Wakeup
    from flowise_telemetry.identity.stream import Stream
    from flowise_telemetry.ledger import Ledger
    from flowise_telemetry.settings import Limits, ProducerSettings
    from flowise_telemetry.spool.spool import Spool
    from flowise_telemetry.stats import Counts
    from flowise_telemetry_schemas.catalog import Catalog
    from flowise_telemetry_transport.ports import RecordWriter

__all__ = ["assemble"]

logger = logging.getLogger("flowise_telemetry")

_LAST_SECONDS = 0.3  # of the time to the end: in it no event waits for the id of its schema
_WINDOW_MAX_EVENTS = 10_000  # of a spool, in memory at once, those in flight included
_SHORT_BLOCK_SECONDS = 0.1  # that the client may take of a thread that writes a spool, or that has to end in time


def assemble(
    settings: ProducerSettings,
    limits: Limits,
    *,
    app_version: str,
    content: Content,
    schemas: Catalog | None,
    queue: EventQueue,
    wakeup: Wakeup,
    requests: Requests,
    counts: Counts,
    may_send: Callable[[], bool],
    writer_factory: WriterFactory | None,
) -> Sender:
    """Return a sender. Files and network are first used when it runs."""
    pending = PendingEvents(
        queue,
        counts,
        max_age_seconds=limits.max_age_seconds,
        spool=_spool(settings, limits),
        # The rest is for what the app sends while the disk or the client takes its time.
        window_events=max(1, min(_WINDOW_MAX_EVENTS, limits.buffer_max_events // 2)),
        window_bytes=limits.buffer_max_bytes // 4,
    )

    ids = _schema_ids(settings, schemas, wakeup, requests)

    def make_writer(batch_bytes: int | None) -> RecordWriter:
        lifecycle.expect_forks()
        writer = _open_writer(settings, limits, writer_factory, schemas, batch_bytes)
        lifecycle.connecting(queue)
        return writer if ids is None else RegisteredWriter(writer, ids)

    @functools.cache
    def instance_id() -> InstanceId:
        with lifecycle.loading():
            from flowise_telemetry_schemas.catalog import catalog

            catalog()  # loads fastavro
            return InstanceId(load_secret(settings.environ))

    def encoder_of(stream: Stream) -> Encoder:
        stream.id = stream.id or new_stream_id()
        return Encoder(app_version, instance_id(), stream.id, content, schemas=schemas)

    return Sender(
        queue=queue,
        wakeup=wakeup,
        requests=requests,
        counts=counts,
        pending=pending,
        in_flight=InFlight(
            topic=settings.topic,
            pending=pending,
            make_writer=make_writer,
            # A gateway's client halves its batches by itself.
            batch_bound=BatchBound(is_kept=writer_factory is None and not settings.endpoint),
            wakeup=wakeup,
            on_connected=lambda: lifecycle.connected(queue),
            ledger=_ledger(settings, limits, schemas),
            explain=None
            if settings.debug or settings.endpoint or writer_factory is not None or in_sub_interpreter()
            else _explain_with(settings),
            aside=settings.spool_dir is not None and not in_sub_interpreter(),
        ),
        make_encoder=encoder_of,
        may_send=may_send,
    )


def _schema_ids(
    settings: ProducerSettings, schemas: Catalog | None, wakeup: Wakeup, requests: Requests
) -> SchemaIds | None:
    # A gateway takes what names its schema by a fingerprint, whoever's registry there is.
    look_up = None if settings.debug or settings.endpoint else look_up_with(settings, schemas)
    if look_up is None:
        return None

    def may_wait() -> bool:
        return requests.stop_at is None or time.monotonic() < requests.stop_at - _LAST_SECONDS

    return SchemaIds(look_up, ring=wakeup.ring, may_wait=may_wait)


def _spool(settings: ProducerSettings, limits: Limits) -> Spool | None:
    if settings.spool_dir is None or settings.debug:
        return None
    try:
        from flowise_telemetry.spool.spool import Spool
    except ImportError as error:  # a Python that was built without SQLite
        logger.warning("telemetry: no spool, events are kept in memory only: %s", error)
        return None
    return Spool(
        settings.spool_dir, max_bytes=limits.spool_max_bytes, opted_out_at_ms=last_opt_out_ms(settings.environ)
    )


def _ledger(settings: ProducerSettings, limits: Limits, schemas: Catalog | None) -> Ledger | None:
    if settings.ledger_path is None or settings.debug:
        return None
    from flowise_telemetry.ledger import Ledger

    return Ledger(settings.ledger_path, max_bytes=limits.ledger_max_bytes, schemas=schemas)


def _explain_with(settings: ProducerSettings) -> Explain:
    def explain(error: BaseException | None) -> BaseException | None:
        with lifecycle.loading():
            from flowise_telemetry_transport.diagnosis.explain import diagnose, explained
            from flowise_telemetry_transport.errors import TransportError
            from flowise_telemetry_transport.settings import KafkaSettings

        kafka = KafkaSettings.from_env(settings.connection, given=settings.given)
        if error is None:
            return diagnose(kafka)
        return explained(error, kafka) if isinstance(error, TransportError) else error

    return explain


def _open_writer(
    settings: ProducerSettings,
    limits: Limits,
    writer_factory: WriterFactory | None,
    schemas: Catalog | None,
    batch_bytes: int | None,
) -> RecordWriter:
    if settings.debug:
        from flowise_telemetry.delivery.debug import DebugWriter

        return DebugWriter(schemas)
    if writer_factory is not None:
        return writer_factory()
    if settings.endpoint:
        from flowise_telemetry.delivery.gateway import open_gateway

        return open_gateway(settings, buffer_bytes=limits.buffer_max_bytes)
    from flowise_telemetry.delivery.kafka import open_kafka_writer

    open_sized = functools.partial(
        open_kafka_writer,
        settings.connection,
        given=settings.given,
        buffer_bytes=limits.buffer_max_bytes,
        batch_bytes=batch_bytes,
    )
    hurries = settings.spool_dir is not None or in_sub_interpreter()
    return open_sized(block_seconds=_SHORT_BLOCK_SECONDS) if hurries else open_sized()
