"""What is kept of one of PostHog's messages and the ids that it gets: the same live and out of an export."""

from __future__ import annotations

import functools
import hashlib
import hmac

from flowise_telemetry.app_version import normalized_version
from flowise_telemetry.identity.instance_id import InstanceId
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.posthog import NotMappedError, PosthogEvent, read_posthog

__all__ = ["MAX_KEPT_CHARACTERS", "MadeIds", "mapped"]

MAX_KEPT_CHARACTERS = 200
"""Of a sender's name, beyond which it is not remembered."""
_VERSION_MAX_CHARACTERS = 200
_DAY_MS = 86_400_000
_MAX_INSTANCES = 20_000


def mapped(message: object, schemas: Catalog) -> PosthogEvent:
    """Return what is kept of a message. Raises ``NotMappedError``, also for an app's version that is none."""
    kept = read_posthog(message, schemas)
    version = kept.event.version or ""
    if len(version) > _VERSION_MAX_CHARACTERS or not _is_version(version):
        raise NotMappedError("invalid", f"{kept.event.EVENT}: version: is no version, such as 3.0.1")
    return kept


@functools.lru_cache(maxsize=256)
def _is_version(text: str) -> bool:
    return normalized_version(text) is not None


class MadeIds:
    """Ids that are made of ids, keyed with the gateway's secret."""

    def __init__(self, secret: bytes) -> None:
        self.secret_of_month = InstanceId(secret)
        self._event_key = hmac.digest(secret, b"event ids", hashlib.sha256)
        self._instances: dict[tuple[str, int], str] = {}  # by distinct id and day

    def event_id(self, kept: PosthogEvent, arrived_at_ms: int, place: int = 0) -> str:
        """Return the id of an event; see ``PosthogEvent.event_id``."""
        return kept.event_id(self._event_key, arrived_at_ms, place)

    def instance_id(self, distinct_id: str, occurred_at_ms: int) -> str:
        """Return a sender's id of the month."""
        place = distinct_id, occurred_at_ms // _DAY_MS
        found = self._instances.get(place)
        if found is None:
            if len(self._instances) >= _MAX_INSTANCES:
                self._instances.clear()
            found = self.secret_of_month.hashed(f"distinct_id {distinct_id}", occurred_at_ms)
            if len(distinct_id) <= MAX_KEPT_CHARACTERS:
                self._instances[place] = found
        return found
