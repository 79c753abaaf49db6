"""Ids of our schemas in a registry, and a writer that puts them in front of the bodies."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flowise_telemetry import lifecycle
from flowise_telemetry.delivery.aside import Aside, is_done
from flowise_telemetry_schemas.codec import HEADER_BYTES, MARKER
from flowise_telemetry_schemas.errors import SchemaError, TelemetryError
from flowise_telemetry_schemas.wire_format import with_id
from flowise_telemetry_transport.errors import BufferFullError

if TYPE_CHECKING:
    from flowise_telemetry.settings import ProducerSettings
    from flowise_telemetry_schemas.catalog import Catalog
    from flowise_telemetry_transport.ports import RecordWriter
    from flowise_telemetry_transport.types import OnDelivery, OutgoingRecord

__all__ = ["Found", "RegisteredWriter", "SchemaIds", "look_up_with"]

logger = logging.getLogger("flowise_telemetry")

_FIRST_LOOK_UP_SECONDS = 2.0  # that the first events wait for it
_ASK_AGAIN_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """Ids by the schemas' fingerprints, and why some are missing; ``missing`` is None if none is."""

    ids: Mapping[bytes, int]
    missing: str | None = None


class SchemaIds:
    """Frames messages by the ids that ``look_up`` finds, on a thread beside the sender's.

    The first events wait for the first look-up, at most for 2 s and while they ``may_wait``. A message whose schema has
    no id is sent in single-object encoding, which consumers read as well; the registry is asked again once a minute.
    An id that is known stays known, whatever becomes of the registry.
    """

    def __init__(
        self,
        look_up: Callable[[], Found],
        *,
        ring: Callable[[], None],
        may_wait: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._ring = ring
        self._may_wait = may_wait
        self._clock = clock
        self._ids: Mapping[bytes, int] = {}
        self._step: Aside[Found] | None = None
        self._ask_at: float | None = float("-inf")
        """When to ask next; None once nothing is missing."""
        self._wait_until: float | None = None
        self._failing: str | None = None

    def begin(self) -> None:
        """Ask the registry, if that is due, and take its answer."""
        if is_done(self._step):
            step, self._step, self._wait_until = self._step, None, None
            self._take(step)
        if self._ask_at is not None and self._step is None and self._clock() >= self._ask_at:
            if self._ask_at == float("-inf"):
                self._wait_until = self._clock() + _FIRST_LOOK_UP_SECONDS
            self._ask_at = self._clock() + _ASK_AGAIN_SECONDS
            self._step = Aside(self._look_up, self._ring)

    def _take(self, step: Aside[Found]) -> None:
        try:
            found = step.result()
        except Exception as error:
            self._say(error.message if isinstance(error, TelemetryError) else repr(error))
            return
        self._ids = {**self._ids, **found.ids}
        if found.missing is None:
            self._ask_at = None
        self._say(found.missing)

    def framed(self, message: bytes) -> bytes:
        """Return the message as it is to be sent. Raises ``BufferFullError`` as long as it has to wait."""
        self.begin()
        schema_id = self._ids.get(message[len(MARKER) : HEADER_BYTES])
        if schema_id is not None:
            return with_id(schema_id, message[HEADER_BYTES:])
        if self._wait_until is not None and self._clock() < self._wait_until and self._may_wait():
            raise BufferFullError("the ids of the schemas are being looked up")
        return message

    def _say(self, why: str | None) -> None:
        if why is not None and why != self._failing:
            logger.warning(
                "telemetry: %s; events whose schema has no known id are sent in single-object encoding meanwhile", why
            )
        elif why is None and self._failing is not None:
            logger.info("telemetry: the schema registry knows every schema now")
        self._failing = why


class RegisteredWriter:
    """A ``RecordWriter`` whose values name their schemas by ``ids``, which it begins to look up."""

    def __init__(self, writer: RecordWriter, ids: SchemaIds) -> None:
        self._writer = writer
        self._ids = ids
        ids.begin()

    def send(self, record: OutgoingRecord, on_delivery: OnDelivery) -> None:
        """Send as ``RecordWriter``; ``BufferFullError`` also while the ids are looked up for the first time."""
        value = None if record.value is None else self._ids.framed(record.value)
        self._writer.send(dataclasses.replace(record, value=value), on_delivery)

    def poll(self) -> None:
        """Poll as ``RecordWriter``."""
        self._writer.poll()

    def flush(self, *, timeout_seconds: float) -> int:
        """Flush as ``RecordWriter``."""
        return self._writer.flush(timeout_seconds=timeout_seconds)

    def close(self, *, timeout_seconds: float) -> None:
        """Close as ``RecordWriter``."""
        self._writer.close(timeout_seconds=timeout_seconds)


def look_up_with(settings: ProducerSettings, schemas: Catalog | None = None) -> Callable[[], Found] | None:
    """Return the look-up in the registry that the settings name; None if they name none.

    ``schemas`` None: those of the shipped events.
    """
    if not settings.connection.get("FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL", "").strip():
        return None

    def look_up() -> Found:
        with lifecycle.loading():  # importing the client takes half a second, in which locks of modules are held
            from flowise_telemetry_schemas.catalog import catalog
            from flowise_telemetry_transport.errors import TransportError
            from flowise_telemetry_transport.schema_registry.registry import Registry
            from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
            from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of

            chosen = RegistrySettings.from_env(settings.connection)
            if chosen is None:
                return Found({})
            registry = Registry(chosen)
            registry.connect()
        ids: dict[bytes, int] = {}
        missing: str | None = None
        faulty = set[str]()
        lifecycle.connecting(registry)
        try:
            for schema in schemas or catalog():
                subject = subject_of(settings.topic, schema)
                if subject in faulty:
                    continue
                try:
                    ids[schema.fingerprint] = registry.id_of(subject, schema_json(schema))
                except SchemaError as error:
                    missing = missing or f"{error.message}: register it with flowise-telemetry schemas register"
                except TransportError as error:
                    faulty.add(subject)
                    missing = error.message
                    if len(faulty) > 1:  # not of one subject: the rest is asked for in a minute
                        break
                lifecycle.connected(registry)
        finally:
            lifecycle.connected(registry)
            registry.close()
        return Found(ids, missing)

    return look_up
