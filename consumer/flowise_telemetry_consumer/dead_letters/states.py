"""States of dead letters: which is the latest of each source record, and whether a receipt ended it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from flowise_telemetry_consumer.dead_letters.stored import DISCARDED, DeadLetterKey, StoredDeadLetter

__all__ = ["DeadLetterStates", "LetterCount", "Receipt"]

_PENDING_ROWS = 2_000
_CACHE_KIBIBYTES = 16 * 1024
_ENDED = "receipt_count IS NOT NULL AND (letter_count IS NULL OR receipt_count >= letter_count)"
_CURRENT = f"letter_count IS NOT NULL AND NOT ({_ENDED})"
_LETTER = (
    "INSERT INTO states (key, whose, letter_count, partition, offset, label, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
    # Of two with the same count the first stays: the other was repeated after a crash before the commit.
    "ON CONFLICT (key) DO UPDATE SET letter_count = excluded.letter_count, partition = excluded.partition, "
    "offset = excluded.offset, label = excluded.label, at_ms = excluded.at_ms "
    "WHERE states.letter_count IS NULL OR excluded.letter_count > states.letter_count"
)
_RECEIPT = (
    "INSERT INTO states (key, whose, receipt_count, discarded, receipt_ms) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET receipt_count = excluded.receipt_count, discarded = excluded.discarded, "
    "receipt_ms = excluded.receipt_ms "
    "WHERE states.receipt_count IS NULL OR excluded.receipt_count > states.receipt_count"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt that ended a dead letter: its redrive count, and its time in milliseconds since 1970."""

    redrive_count: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class LetterCount:
    """Current dead letters that share a label, and the time of the oldest; None where none has a time."""

    count: int
    oldest_ms: int | None


class DeadLetterStates:
    """The latest dead letter and receipt of each source record and group, in a temporary file.

    Takes about 100 bytes of disk for each source record and at most 16 MiB of memory, however many there are. The file
    is in the folder for temporary files (``TMPDIR``), has no name, and goes with ``close`` or with the process.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIBIBYTES}"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute(
            "CREATE TABLE states (key BLOB PRIMARY KEY, whose INTEGER NOT NULL, letter_count INTEGER, "
            "partition INTEGER, offset INTEGER, label INTEGER, at_ms INTEGER, receipt_count INTEGER, "
            "discarded INTEGER, receipt_ms INTEGER) WITHOUT ROWID"
        )
        self._letters = 0
        self._groups: dict[str, int] = {}
        self._new_letters: list[tuple[object, ...]] = []
        self._new_receipts: list[tuple[object, ...]] = []

    def add(self, letter: StoredDeadLetter, label: int | None = 0) -> None:
        """Take a dead letter or receipt into account; the order does not matter, but for repeats of one letter.

        ``label`` is what ``counts`` counts by; None is not counted.
        """
        identity, record = letter.identity, letter.record
        whose = self._groups.setdefault(identity.group, len(self._groups))
        key = _key(identity)
        if letter.is_receipt:
            discarded = letter.reason == DISCARDED
            self._new_receipts.append((key, whose, letter.redrive_count, discarded, record.timestamp_ms))
        else:
            self._letters += 1
            place = record.partition, record.offset
            self._new_letters.append((key, whose, letter.redrive_count, *place, label, record.timestamp_ms))
        if len(self._new_letters) + len(self._new_receipts) >= _PENDING_ROWS:
            self._store()

    def is_current(self, letter: StoredDeadLetter) -> bool:
        """Return whether this is the latest dead letter of a source record that no receipt ended."""
        return self._look_up(letter) == (True, None)

    def ended_by(self, letter: StoredDeadLetter) -> Receipt | None:
        """Return the receipt that ended a dead letter, if this is the latest one of its source record."""
        is_latest, receipt = self._look_up(letter)
        return receipt if is_latest else None

    def counts(self) -> dict[int, LetterCount]:
        """Return the current dead letters by label."""
        rows = self._rows(
            "SELECT label, count(*), min(at_ms) FILTER (WHERE at_ms >= 0) FROM states "  # noqa: S608 - constants
            f"WHERE {_CURRENT} AND label IS NOT NULL GROUP BY label"
        )
        return {label: LetterCount(count, oldest_ms) for label, count, oldest_ms in rows}

    @property
    def by_group(self) -> Counter[str]:
        """Current dead letters by group; 0 for a group whose dead letters were all ended by receipts."""
        rows = self._rows(f"SELECT whose, sum({_CURRENT}) FROM states GROUP BY whose")  # noqa: S608 - a constant
        numbers = {whose: count for whose, count in rows}  # noqa: C416 - dict() loses the types
        return Counter({group: numbers[whose] for group, whose in self._groups.items() if whose in numbers})

    @property
    def redriven(self) -> int:
        """Number of source records that reached a sink, those included whose letter is no longer there."""
        return self._count(f"{_ENDED} AND NOT discarded AND (letter_count IS NULL OR label IS NOT NULL)")

    @property
    def discarded(self) -> int:
        """Number of source records whose dead letter was discarded."""
        return self._count(f"{_ENDED} AND discarded AND (letter_count IS NULL OR label IS NOT NULL)")

    @property
    def repeats(self) -> int:
        """Number of dead letters that another one of the same source record repeats or supersedes."""
        return self._letters - self._count("letter_count IS NOT NULL")

    def close(self) -> None:
        """Remove the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_up(self, letter: StoredDeadLetter) -> tuple[bool, Receipt | None]:
        """Return whether this is the latest letter of its source record, and the receipt that ended its letters."""
        self._store()
        row = self._db.execute(
            f"SELECT partition, offset, {_ENDED}, receipt_count, receipt_ms FROM states WHERE key = ?",  # noqa: S608 - a constant
            (_key(letter.identity),),
        ).fetchone()
        if row is None:
            return False, None
        partition, offset, ended, receipt_count, receipt_ms = row
        is_latest = not letter.is_receipt and (partition, offset) == (letter.record.partition, letter.record.offset)
        return is_latest, Receipt(receipt_count, receipt_ms) if ended else None

    def _count(self, condition: str) -> int:
        ((count,),) = self._rows(f"SELECT count(*) FROM states WHERE {condition}")  # noqa: S608 - ours
        return int(count)

    def _rows(self, statement: str) -> list[tuple[int, ...]]:
        self._store()
        return self._db.execute(statement).fetchall()

    def _store(self) -> None:
        if not self._new_letters and not self._new_receipts:
            return
        self._db.execute("BEGIN")
        self._db.executemany(_LETTER, self._new_letters)
        self._db.executemany(_RECEIPT, self._new_receipts)
        self._db.execute("COMMIT")
        self._new_letters, self._new_receipts = [], []


def _key(identity: DeadLetterKey) -> bytes:
    return hashlib.blake2b("\0".join(map(str, identity)).encode("utf-8", "replace"), digest_size=16).digest()
