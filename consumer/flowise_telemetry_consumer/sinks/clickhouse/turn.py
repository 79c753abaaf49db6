"""Turns: one batch at a time goes into the tables of a database, in the order of the log."""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from flowise_telemetry_consumer.errors import SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse.log import Begun, Entry, State, append, read_log
from flowise_telemetry_consumer.sinks.clickhouse.restored import not_in_order, put_in_order
from flowise_telemetry_consumer.sinks.clickhouse.server import Server, name

__all__ = ["TURN_SECONDS", "Turn", "Turns"]

TURN_SECONDS = 15.0
"""After this time, by the server's clock, others no longer wait for a batch that has begun: they annul it."""

_POLL_SECONDS = (0.002, 0.1)
_MOST_ROWS = 500
"""Rows of the log at which a commit sums it up."""


@dataclass(slots=True)
class Turn:
    """The turn of one batch: its number, what the log says, and what is added to the log with its end."""

    number: int
    state: State
    entries: list[Entry] = field(default_factory=list)


class Turns:
    """The turns of one sink object."""

    def __init__(self, server: Server, *, lock_ms: int, turn_seconds: float = TURN_SECONDS) -> None:
        self._server = server
        self._lock_ms = lock_ms
        self._turn_seconds = turn_seconds
        # Begun, and whether it is in the log was not answered: ours to annul.
        self._unsure: set[int] = set()

    def state(self, *, quick: bool = True, mends: bool = True) -> State:
        """Return the state of this moment; not ``quick`` for a login that may change no settings.

        A log that was restored from a backup is put in order first; raises ``SinkError`` if this is not to mend it.
        """
        state = read_log(self._server, lock_ms=self._lock_ms, quick=quick)
        if not state.is_restored:
            return state
        if not mends:
            raise not_in_order(self._server)
        put_in_order(self._server)
        return read_log(self._server, lock_ms=self._lock_ms, quick=quick)

    @contextlib.contextmanager
    def take(self, claims: Sequence[Entry], *, end: str = "commit") -> Iterator[Turn]:
        """Wait for a turn, and end it with ``commit`` and the turn's entries; annul it if anything inside raises.

        ``claims`` say of each partition that the batch advances which claim it relies on. Whoever takes such a claim
        away annuls the batch, so that its end comes too late.
        """
        nonce = secrets.randbits(62)
        self._unsure.add(nonce)
        append(self._server, _begins(nonce, claims), token=f"begin:{nonce}")
        turn = self._wait(nonce)
        try:
            yield turn
            summary = turn.state.summary() if turn.state.rows > _MOST_ROWS and end == "commit" else []
            append(
                self._server,
                [*summary, Entry(kind=end, batch=turn.number), *turn.entries],
                token=f"{end}:{turn.number}",
            )
        except BaseException:
            with contextlib.suppress(SinkError):
                self.annul(turn.number)
                self._unsure.discard(nonce)
            raise
        if _was_annulled(self._server, turn.number):
            raise SinkUnavailableError(
                f"{self._server.address.shown}: a batch took longer than others wait for it, and was annulled"
            )
        self._unsure.discard(nonce)
        if summary:
            _trim(self._server, turn.state)

    def annul(self, number: int) -> None:
        """Annul a batch, unless its end is there already."""
        append(self._server, [Entry(kind="annul", batch=number)], token=f"annul:{number}:{secrets.randbits(62)}")

    def _wait(self, nonce: int) -> Turn:
        """Return our turn once all before it have ended."""
        deadline = time.monotonic() + 4 * self._turn_seconds
        pause, longest = _POLL_SECONDS
        while True:
            state = self.state()
            ours = next((begun for begun in state.begun.values() if begun.nonce == nonce), None)
            if ours is None:
                raise SinkUnavailableError(
                    f"{self._server.address.shown}: a batch waited for longer than others wait for it, and was annulled"
                )
            before = [begun for begun in state.begun.values() if begun.number < ours.number]
            if not before:
                return Turn(ours.number, state)
            lost = [begun for begun in before if self._is_lost(state, begun)]
            for begun in lost:
                self.annul(begun.number)
            if lost:
                continue
            if time.monotonic() > deadline:
                self.annul(ours.number)
                raise SinkUnavailableError(f"{self._server.address.shown}: others wrote all the time; try again")
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that two do not ask at once forever
            pause = min(pause * 2, longest)

    def _is_lost(self, state: State, begun: Begun) -> bool:
        """Return True for a batch that need not be waited for."""
        return (
            begun.nonce in self._unsure
            or state.is_fenced(begun) is not None
            or begun.age_ms > self._turn_seconds * 1000
        )


def _begins(nonce: int, claims: Sequence[Entry]) -> list[Entry]:
    """Return the entries with which a batch begins."""
    return [replace(entry, kind="begin", batch=nonce) for entry in claims] or [Entry(kind="begin", batch=nonce)]


def _was_annulled(server: Server, number: int) -> bool:
    """Return True if a batch whose end was added was annulled before."""
    its = f"FROM {name(PROGRESS_TABLE)} WHERE batch = {number:d} AND kind"
    # A summary, which may have been added after the end, names those alone whose end came too late.
    rows = server.rows(
        f"SELECT kind, if(as_of > 0, 0, _block_number) {its} IN ('annul', 'commit', 'promoted')", quick=True
    )
    annulled = [at for kind, at in rows if kind == "annul"]
    ended = [at for kind, at in rows if kind != "annul"]
    return bool(annulled) and (not ended or min(annulled) < min(ended))


def _trim(server: Server, state: State) -> None:
    """Delete what a summary of this state says too."""
    under_way = ", ".join(str(number) for number in sorted(state.begun)) or "0"
    server.execute(
        f"DELETE FROM {name(PROGRESS_TABLE)} WHERE _block_number <= {state.last:d} "  # noqa: S608 - our table
        f"AND NOT (kind = 'begin' AND _block_number IN ({under_way})) "
        "AND (kind NOT IN ('lock', 'unlock') OR at < now64(3) - INTERVAL 1 HOUR)"
    )
