"""What a gateway does with a request, whatever serves it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flowise_telemetry_gateway.counters import GatewayCounters
from flowise_telemetry_gateway.intake.posthog import PosthogIntake, key_of, messages_of, values_of
from flowise_telemetry_gateway.intake.records import CheckedRecords, check_records, records_of
from flowise_telemetry_gateway.keys import ProjectKey, ProjectKeys
from flowise_telemetry_gateway.limits import GatewayLimits
from flowise_telemetry_gateway.rates import Rates
from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_gateway.serving.body import BodyReader, too_large
from flowise_telemetry_gateway.serving.kept import KeepsEvents, Kept
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_transport.gateway.wire import CONTENT_TYPE, Answer, Refusal, WireRecord, encode_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowise_telemetry import Stats
    from flowise_telemetry_gateway.serving.body import Request

__all__ = ["Forwards", "Gateway", "Keeps"]

logger = logging.getLogger("flowise_telemetry.gateway")

_OFF_SECONDS = 60
_RETRY_SECONDS = 5
_CHECKED_AT_ONCE_BYTES = 65_536
_MAX_KEYS = 10_000
POSTHOG_ANSWER = b'{"status":1}'
"""What PostHog answers; its clients look at the status alone."""


class Keeps(KeepsEvents, Protocol):
    """What is used of ``Telemetry``, besides ``relay``."""

    def still_active(self) -> bool:
        """Look for an opt-out; return True if events are sent."""

    @property
    def unspooled(self) -> int:
        """Events that are not on disk, and not delivered either."""

    def stats(self) -> Stats:
        """Return the counts of its events."""


class Forwards(Protocol):
    """What is used of a ``Forwarder``."""

    def submit(self, records: Sequence[tuple[int, WireRecord]]) -> Future[list[Refusal]]:
        """Hand records on; the future has those that are refused for good."""


@dataclass(slots=True, kw_only=True)
class Gateway:
    """Takes requests in. ``waits_for_disk``: an event counts as accepted once it is in the spool.

    Belongs to one event loop.
    """

    telemetry: Keeps
    intake: PosthogIntake
    forwarder: Forwards | None
    keys: ProjectKeys
    limits: GatewayLimits
    counters: GatewayCounters
    waits_for_disk: bool
    schemas: Catalog = field(default_factory=catalog)
    _bodies: BodyReader = None  # type: ignore[assignment]  # made below
    _kept: Kept = None  # type: ignore[assignment]  # made below
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _by_key: Rates = None  # type: ignore[assignment]  # made below
    _by_instance: Rates = None  # type: ignore[assignment]  # made below

    def __post_init__(self) -> None:
        limits = self.limits
        self._bodies = BodyReader(limits, self.counters)
        self._kept = Kept(self.telemetry, answer_seconds=limits.answer_seconds)
        burst = limits.burst_seconds
        self._by_key = Rates(limits.key_events_per_second, burst_seconds=burst, max_names=_MAX_KEYS)
        self._by_instance = Rates(
            limits.instance_events_per_second, burst_seconds=burst, max_names=limits.instances_max
        )

    async def posthog(self, request: Request) -> bytes:
        """Take in what PostHog's clients send; return the body of the 200. Raises ``RefusedRequestError``."""
        held: list[int] = []
        try:
            kept = self._take(await self._bodies.read(request, held))
        finally:
            self._bodies.release(held)
        if kept and self.waits_for_disk:
            await self._kept.wait()
            if self.telemetry.unspooled:
                raise RefusedRequestError(
                    503, "unavailable", "the gateway's disk takes no more", retry_after_seconds=_RETRY_SECONDS
                )
        return POSTHOG_ANSWER

    def _take(self, body: bytes) -> int:
        """Relay what is kept of a body, and return how many events that is; nothing of the body stays in memory."""
        if values_of(body) > self.limits.values_max:  # before it is read: objects take far more memory than their text
            raise too_large(f"the body has more than {self.limits.values_max} values")
        document, messages = messages_of(body)
        key = self._admit(key_of(document))
        if len(messages) > self.limits.events_max:
            raise too_large(f"the body has more than {self.limits.events_max} events")
        self._require_active()
        self._within_rate_of(key, len(messages))
        kept = self.intake.read(messages)
        self._take_tokens(key, len(messages), self.intake.by_instance(kept))
        return self.intake.relay(kept)

    async def records(self, request: Request) -> bytes:
        """Take in records of our own producers; return the body of the 200. Raises ``RefusedRequestError``."""
        scheme, _, given = request.header(b"authorization").partition(" ")
        key = self._admit(given.strip() if scheme.lower() == "bearer" else "")
        if request.header(b"content-type", CONTENT_TYPE).partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise RefusedRequestError(415, "unsupported", f"the body must be of the type {CONTENT_TYPE}")
        self._require_active()
        if self.forwarder is None:
            raise RefusedRequestError(503, "unavailable", "this gateway hands nothing on", retry_after_seconds=60)
        held: list[int] = []
        try:
            body = await self._bodies.read(request, held)
            records = records_of(body, max_records=self.limits.events_max)
            self._within_rate_of(key, len(records))
            checked = await self._checked(records, len(body))
            self._within_rate_of(key, len(records))  # again: other requests were read meanwhile
            self._take_tokens(key, len(records), checked.instances)
            refused = list(checked.refused)
            if checked.good:
                rejected: list[Refusal] = await asyncio.wrap_future(self.forwarder.submit(checked.good))
                refused += rejected
        finally:
            self._bodies.release(held)
        refused.sort(key=lambda refusal: refusal.index)
        accepted = len(records) - len(refused)
        self.counters.records += accepted
        self.counters.refused_records += Counter(refusal.reason for refusal in refused)
        return encode_answer(Answer(accepted, tuple(refused)))

    async def _checked(self, records: Sequence[WireRecord], size_bytes: int) -> CheckedRecords:
        """Check records; many on another thread, one request after the other, so that they hold up no small one."""
        if size_bytes <= _CHECKED_AT_ONCE_BYTES:
            return check_records(records, self.schemas)
        async with self._checking:
            most_seconds = self.limits.answer_seconds
            return await asyncio.to_thread(check_records, records, self.schemas, most_seconds=most_seconds)

    def _require_active(self) -> None:
        """Raise ``RefusedRequestError`` (503) while telemetry is off."""
        why_not = self.why_not_ready()
        if why_not is not None:
            raise RefusedRequestError(503, "unavailable", why_not, retry_after_seconds=_OFF_SECONDS)

    def _admit(self, given: str) -> ProjectKey:
        if not given:
            raise RefusedRequestError(401, "key_missing", "the request has no project key")
        key = self.keys.find(given)
        if key is None:
            raise RefusedRequestError(401, "key_unknown", "the project key is not known")
        if key.revoked:
            raise RefusedRequestError(403, "key_revoked", "the project key was revoked: nothing of it is taken")
        return key

    def _within_rate_of(self, key: ProjectKey, events: int) -> None:
        """Raise ``RefusedRequestError`` (429) over the key's rate, before any work is done; nothing is taken yet."""
        _refuse_until(self._by_key.wait_seconds({key.digest.hex(): events}, takes=False))

    def _take_tokens(self, key: ProjectKey, events: int, instances: Mapping[str, int]) -> None:
        """Take what a request within the rate of its key takes.

        Raise ``RefusedRequestError`` (429) over an installation's: then nothing counts, so that one uses up no key.
        """
        _refuse_until(self._by_instance.wait_seconds(instances))
        self._by_key.wait_seconds({key.digest.hex(): events})

    def why_not_ready(self) -> str | None:
        """Return None while events are taken in, else the reason."""
        return None if self.telemetry.still_active() else "telemetry is off here: nothing is taken in"


def _refuse_until(wait_seconds: int) -> None:
    if wait_seconds:
        raise RefusedRequestError(429, "rate_limited", "too many events at once", retry_after_seconds=wait_seconds)
