"""What differs between the engines in the text of a question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

__all__ = ["STANDARD", "Dialect", "filled"]

_MARK = re.compile(r"\{(\w+)(?:\((\w+)\))?\}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Expressions for the marks in a text: ``{}`` in one stands for the column that the mark names.

    ``week`` is the Monday of a day, ``month`` its first day, ``days`` which seven days of the month it belongs to.
    ``id`` is an id in the form in which it is compared fastest. ``latest`` is the id of a group's newest event, as the
    sink has it.
    ``withheld`` is a query of what streams told they withheld: stream_id, instance_id, field, rule, times.
    """

    week: str
    month: str
    day_of_month: str
    latest: str
    withheld: str
    id: str = "{}"

    @property
    def days(self) -> str:
        """Return the expression of the mark ``days``."""
        of_month = self.day_of_month
        return (
            f"CASE WHEN {of_month} <= 7 THEN '01-07' WHEN {of_month} <= 14 THEN '08-14' "
            f"WHEN {of_month} <= 21 THEN '15-21' WHEN {of_month} <= 28 THEN '22-28' ELSE '29-31' END"
        )


STANDARD = Dialect(
    week="CAST(date_trunc('week', {}) AS date)",
    month="CAST(date_trunc('month', {}) AS date)",
    day_of_month="EXTRACT(DAY FROM {})",
    latest="max(event_id)",
    withheld="",
)
"""What DuckDB, PostgreSQL and ClickHouse have in common."""


_IS_LATEST = "event IN ('chatflow_created', 'prediction_sent') AND event_id IN (SELECT event_id FROM latest)"


def filled(text: str, dialect: Dialect, *, since: date, heavy: int, are_latest: bool = False) -> str:
    """Return a text without marks, ready for the engine; its values are a date and a number of ours.

    ``are_latest``: the views of graphs show the newest events of flows alone.
    """
    fixed = {
        "since": f"'{since.isoformat()}'",
        "since_time": f"'{since.isoformat()} 00:00:00'",
        "heavy": str(heavy),
        "latest": dialect.latest,
        "is_latest": "1 = 1" if are_latest else _IS_LATEST,
        "withheld": dialect.withheld.replace("{since_time}", f"'{since.isoformat()} 00:00:00'"),
    }

    def value(mark: re.Match[str]) -> str:
        name, column = mark.groups()
        return fixed[name] if column is None else str(getattr(dialect, name)).replace("{}", column)

    return _MARK.sub(value, text).strip()
