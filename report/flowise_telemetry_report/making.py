"""A report of a sink: every question asked, and for the public what may be told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_report.asking import ask
from flowise_telemetry_report.document import Report
from flowise_telemetry_report.engines import open_engine
from flowise_telemetry_report.public import disclosed, published
from flowise_telemetry_report.questions import HEAVY_EVENTS_A_DAY, Question
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["DEFAULT_K", "LEAST_K", "make_report"]

DEFAULT_K = 20
LEAST_K = 3
"""Of two, one that is not shown would always be one."""

_FIRST_DAY = date(2020, 1, 1)
"""No event is older: the schemas say so."""

_NOTES = (
    "An installation is a pseudonymous id of one calendar month. Installations are counted within their months: "
    "no number can tell how many stay, leave or come back from one month to the next.",
    "Days, weeks from Monday on, and months are in UTC. Those at the ends of the period may not be whole.",
)
_NOTHING = "There are no events in this period."


def make_report(
    sink: str,
    *,
    since_ms: int | None = None,
    now_ms: int,
    k: int | None = None,
    heavy_events_a_day: int = HEAVY_EVENTS_A_DAY,
    on_question: Callable[[Question], None] = lambda question: None,
) -> Report:
    """Return the report of a sink, given by its URL. Nothing in the sink changes.

    ``since_ms``: from the day (UTC) of this time on. ``k``: for the public, without the sink's URL and without whatever
    has fewer than ``k`` installations behind it (ADR 0042). ``on_question`` is called before each question.

    Raises ``ConfigurationError`` (``argument`` k, or a URL of no sink), ``SinkError`` where the sink has no engine, has
    no views yet or refuses, ``SinkUnavailableError`` where waiting helps, ``MissingExtraError``.
    """
    if k is not None and k < LEAST_K:
        raise ConfigurationError(f"{k} is too few: {LEAST_K} or more", argument="k")
    since = _FIRST_DAY if since_ms is None else datetime.fromtimestamp(since_ms / 1000, UTC).date()
    with closing(open_engine(sink)) as engine:
        if not engine.has("all_events"):
            raise SinkError(
                f"{engine.url} has no view all_events that may be read: a consumer of this version makes it when it"
                " starts; on a server the login needs SELECT on it and on the tables"
            )
        answered = ask(engine, since=since, heavy_events_a_day=heavy_events_a_day, on_question=on_question)
        url = engine.url
    overview = answered[0].answers[0].rows
    notes = [*_NOTES] if any(row[0] for row in overview) else [_NOTHING, *_NOTES]
    if k is not None:
        notes.append(
            f"Numbers behind which there are fewer than {k} installations are not shown; all counts are rounded down "
            f"to multiples of {k}, and shares are made of what is shown."
        )
    return Report(
        generated_at=datetime.fromtimestamp(now_ms // 1000, UTC).isoformat().replace("+00:00", "Z"),
        since=None if since_ms is None else f"{since.isoformat()}T00:00:00Z",
        sink=url if k is None else sink.partition(":")[0],
        k=k,
        sections=disclosed(answered) if k is None else published(answered, k),
        notes=tuple(notes),
    )
