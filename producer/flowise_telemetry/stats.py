"""Counts of the fates of events."""

from __future__ import annotations

import _thread
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Counts", "DropReason", "OnDrop", "Stats"]

logger = logging.getLogger("flowise_telemetry")


class DropReason(StrEnum):
    """Reason for which an event was not delivered."""

    QUEUE_FULL = "queue_full"
    """The buffer was full, in events or bytes. The newest event is refused; those accepted before stay."""
    INVALID = "invalid"
    """It violates its schema, or is no event."""
    TOO_LARGE = "too_large"
    """Its record is larger than the client or the topic allows."""
    EXPIRED = "expired"
    """It was undelivered for ``max_age_seconds``."""
    CLOSED = "closed"
    """It came after ``close``, or was undelivered when the time given to ``close`` was up."""
    REJECTED = "rejected"
    """The cluster or its client refused this record, and a retry cannot help."""
    RETIRED = "retired"
    """Its time was up: the event's terms had ended with this release, or on this day. Nothing of it leaves."""
    OPTED_OUT = "opted_out"
    """Telemetry was turned off while it waited."""


_NO_LOSSES = (DropReason.RETIRED, DropReason.OPTED_OUT)

OnDrop = Callable[[DropReason, str | None], None]
"""Callback for each dropped event: the reason, and the event's name, or None if it is no event. Runs on any thread."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the start of the process, or since the fork in a child.

    ``accepted`` entered the buffer. ``recovered`` were found in the spool, left by earlier processes. ``buffered`` wait
    in memory or on disk, ``spooled`` of them on disk, where they survive a crash of the app. Always: accepted +
    recovered + refused = sent + dropped + buffered, where ``refused`` counts those drops that were never accepted.
    ``last_error`` says why deliveries fail; None while they work. ``error_lasts``: waiting does not mend it, as with a
    right that is missing; events are kept and tried again all the same. ``withheld`` counts the values that events were
    sent without, by event, field and rule, such as ``"tool_created.toolName: credential"``.
    """

    accepted: int
    refused: int
    recovered: int
    sent: int
    dropped: Mapping[str, int]
    buffered: int
    spooled: int
    stream_id: str
    last_error: str | None = None
    error_lasts: bool = False
    withheld: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped_events(self) -> int:
        """Number of dropped events, for all reasons."""
        return sum(self.dropped.values())


class Counts:
    """Counters behind ``Stats``, for use by any thread."""

    def __init__(self, on_drop: OnDrop | None) -> None:
        self._lock = _thread.RLock()  # see EventQueue
        self._on_drop = on_drop
        self._dropped: dict[DropReason, int] = {}
        self._withheld: dict[str, int] = {}
        self._telling: dict[int, None] = {}  # threads that log, or call ``on_drop``, at this moment
        self.frozen = False
        self.refused = 0
        self._refused_closed = 0
        self._has_told_losses = False
        self.sent = 0
        self.recovered = 0
        self.unspooled = 0  # undelivered, encoded and in memory alone; the sender's thread counts

    def count_sent(self, events: int) -> None:
        """Count events that Kafka has acknowledged."""
        with self._lock:
            if not self.frozen:
                self.sent += events

    def withhold(self, event: str, values: Iterable[tuple[str, str]]) -> None:
        """Count values that an event was sent without, by field and rule; log the first of each as INFO."""
        for path, rule in values:
            name = f"{event}.{path}: {rule}"
            with self._lock:
                self._withheld[name] = self._withheld.get(name, 0) + 1
                first = self._withheld[name] == 1
            if first:
                logger.info("telemetry: withheld a value of %s.%s (%s); later ones are only counted", event, path, rule)

    def withheld(self) -> Mapping[str, int]:
        """Return the withheld values by event, field and rule."""
        with self._lock:
            return dict(self._withheld)

    def freeze(self) -> None:
        """Count only refusals from now on, because everything pending has been counted as dropped."""
        with self._lock:
            self.frozen = True

    def drop(self, reason: DropReason, event: str | None, detail: object = "", *, refused: bool = False) -> None:
        """Count one dropped event, call ``on_drop``, and log: the first of each reason as WARNING, others as DEBUG."""
        with self._lock:
            if self.frozen and not refused:
                return
            first = reason not in self._dropped
            self._dropped[reason] = self._dropped.get(reason, 0) + 1
            self.refused += refused
            self._refused_closed += refused and reason is DropReason.CLOSED
        thread = _thread.get_ident()
        if thread in self._telling:
            return  # a logging handler or ``on_drop`` sends, and that event is dropped too: counted, but not told again
        self._telling[thread] = None
        try:
            self._tell(reason, event, detail, first=first)
        finally:
            self._telling.pop(thread, None)

    def _tell(self, reason: DropReason, event: str | None, detail: object, *, first: bool) -> None:
        quiet = reason in (DropReason.CLOSED, *_NO_LOSSES)
        logger.log(
            logging.WARNING if first and not quiet else logging.DEBUG,
            "telemetry: dropped %s (%s)%s%s",
            event or "an object that is no event",
            reason.value,
            f": {detail}" if detail else "",
            "; later ones are only counted" if first and not quiet else "",
        )
        if self._on_drop is not None:
            try:
                self._on_drop(reason, event)
            except Exception:
                logger.debug("telemetry: on_drop raised", exc_info=True)

    def tell_losses(self) -> None:
        """Log how many events were lost, by reason, as one WARNING; once, at the end.

        Those of an opt-out and of retired events are no losses, and those after ``close`` come after the end.
        """
        with self._lock:
            lost = {reason: count for reason, count in self._dropped.items() if reason not in _NO_LOSSES}
            lost[DropReason.CLOSED] = lost.get(DropReason.CLOSED, 0) - self._refused_closed
            total = 0 if self._has_told_losses else sum(lost.values())
            self._has_told_losses = self._has_told_losses or total > 0
        if total:
            logger.warning(
                "telemetry: %d event%s lost by the end: %s%s",
                total,
                " was" if total == 1 else "s were",
                ", ".join(f"{count} {reason.value}" for reason, count in lost.items() if count),
                "; what is closed was not delivered in time, and no spool is set, or it took no more"
                if lost[DropReason.CLOSED]
                else "",
            )

    def dropped(self) -> Mapping[str, int]:
        """Return the drops by reason, without reasons that did not occur."""
        with self._lock:
            return {reason.value: count for reason, count in self._dropped.items()}

    @property
    def dropped_events(self) -> int:
        """Drops for all reasons."""
        with self._lock:
            return sum(self._dropped.values())
