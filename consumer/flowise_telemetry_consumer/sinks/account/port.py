"""The roles of a sink that keeps an account of what it received."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import polars as pl

__all__ = ["KeepsAccount", "Merged", "MergesAccount"]


@runtime_checkable
class KeepsAccount(Protocol):
    """A sink that counts, in the transaction of each batch, what it added of each stream, and its dead letters once."""

    def account(self, table: str, *, batch_rows: int = 10_000) -> Iterator[pl.DataFrame]:
        """Yield the rows of one of ``ACCOUNT_TABLES``; none where nothing was written yet. Otherwise as ``read``.

        Those of streams have to be merged (``sinks.account.rows.merged``). ``promote`` exchanges the account with the
        tables; ``prune`` leaves it, so that what was pruned still counts as received.
        """


class Merged(NamedTuple):
    """Rows of an account before they were merged, and after."""

    rows_before: int
    rows_after: int


@runtime_checkable
class MergesAccount(Protocol):
    """A ``KeepsAccount`` that stores by row, whose account grows with each batch until it is merged."""

    def merge_account(self) -> Merged:
        """Merge the rows of streams into one for each stream and day; consumers go on. Raises as ``write``."""
