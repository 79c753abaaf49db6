"""The sink's own tables, account and progress: a rule that others add to one of them is against no row of an event."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowise_telemetry_consumer.errors import RowRefusedError, SinkUnavailableError

__all__ = ["AGAINST_NO_EVENT", "own_tables"]

AGAINST_NO_EVENT = "it is on a table of the sink's own, and against no event"


@contextlib.contextmanager
def own_tables() -> Iterator[None]:
    """Raise ``SinkUnavailableError`` for a ``RowRefusedError`` inside: it is waited for, and no event is set aside.

    Whichever events a batch has, such a rule refuses it; halved down to each of them, all would seem to be at fault.
    """
    try:
        yield
    except RowRefusedError as error:
        raise SinkUnavailableError(f"{error.message}: {AGAINST_NO_EVENT}") from error
