"""The report of a replay from an archive, which accounts for every row and line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flowise_telemetry_consumer.archives.portion import Portion

__all__ = ["ArchiveEvent", "ArchiveResult"]


@dataclass(slots=True)
class ArchiveEvent:
    """The accounts of the rows of one event.

    ``read`` = ``written`` + ``already_there`` + ``erased`` + ``filtered`` + ``rejected``. ``total`` is what
    the source said that it has; None where that is known only once it is read.
    """

    total: int | None = None
    read: int = 0
    written: int = 0
    already_there: int = 0
    erased: int = 0
    filtered: int = 0
    rejected: int = 0

    @property
    def adds_up(self) -> bool:
        """Return whether every row read is accounted for."""
        return self.read == self.written + self.already_there + self.erased + self.filtered + self.rejected


@dataclass(slots=True)
class ArchiveResult:
    """The outcome by event. ``incomplete`` says why not all rows were read; None if they were.

    ``rejects`` counts what was set aside, by the rule that it breaks: rows of events, and lines of none, such as an
    event that is not known (``unknown_event``). ``bytes_done`` and ``bytes_total`` are those of a file. ``before``
    counts the rows that an earlier process read, which this one resumes; they are counted nowhere else.
    """

    events: dict[str, ArchiveEvent] = field(default_factory=dict)
    rejects: Counter[str] = field(default_factory=Counter)
    incomplete: str | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    before: int = 0

    @property
    def total(self) -> int:
        """Count the rows that the source had at the start, as far as it knew."""
        return sum(event.total or 0 for event in self.events.values())

    @property
    def read(self) -> int:
        """Count the rows that were read, rejects included."""
        return sum(event.read for event in self.events.values())

    @property
    def written(self) -> int:
        """Count the rows that the sink did not have."""
        return sum(event.written for event in self.events.values())

    @property
    def rejected(self) -> int:
        """Count what was set aside."""
        return self.rejects.total()

    def add_read(self, portion: Portion) -> None:
        """Count what was read of a portion, before anything of it is written."""
        for event, count in portion.read.items():
            self.events.setdefault(event, ArchiveEvent()).read += count
        for reject in portion.rejects:
            self.rejects[reject.rule] += 1
            if reject.event is not None:
                self.events[reject.event].rejected += 1
        self.bytes_done, self.bytes_total = portion.done, portion.total

    def discrepancies(self) -> list[str]:
        """Return one line for each event whose rows do not add up, or are fewer than at the start."""
        lines = [f"{name}: {event}" for name, event in self.events.items() if not event.adds_up]
        if self.incomplete is None:
            lines += [
                f"{name}: {event.read} rows read of {event.total}"
                for name, event in self.events.items()
                if event.total is not None and event.read < event.total
            ]
        return lines
