"""Questions about how many use the app: events and installations by day, week and month, versions, retention."""

from __future__ import annotations

from typing import Literal

from flowise_telemetry_report.document import Chart, Column
from flowise_telemetry_report.questions.bases import HEAVY_EVENTS_A_DAY
from flowise_telemetry_report.questions.question import (
    Parts,
    Question,
    QuestionSection,
    Share,
    category,
    count,
    share,
    time,
)

__all__ = ["USAGE"]

Period = Literal["day", "week", "month"]

_EVENTS = count("events", "Events")
_INSTALLATIONS = count("installations", "Installations")
_MONTHLY = "An installation has another id every month, so that nothing here follows one from month to month."
_BOUND = f"{HEAVY_EVENTS_A_DAY:,}"


def _by(period: Period, expression: str, *columns: Column, chart: Chart, question: str, note: str = "") -> Question:
    """Return the question about events or installations by day, week or month."""
    of_events = any(column.name == "event" for column in columns)
    what = "events" if of_events else "installations"
    key = "period, event" if of_events else "period"
    counted = "sum(events) AS events, " if of_events else ""
    return Question(
        id=f"{what}_by_{period}",
        title=f"{what.capitalize()} by {period}",
        question=question,
        chart=chart,
        columns=(time(period, period.capitalize()), *columns, _INSTALLATIONS),
        sql=f"""
SELECT {key}, {counted}count(DISTINCT instance_id) AS installations
FROM (SELECT {expression} AS period, event, instance_id, events FROM usage) AS of_periods
GROUP BY {key}
ORDER BY {key}
""",
        uses=("usage",),
        note=note,
        known=("event",) if of_events else (),
        inward=("events",) if of_events and period != "month" else (),
        parts=() if of_events else _parts(period),
    )


def _parts(period: Period) -> tuple[Parts, ...]:
    """Return the figures whose rows together are all installations of a day, week or month."""
    by_day = () if period == "day" else (Parts("installations_by_day", period),)
    by_version = (Parts("versions", "week"),) if period == "week" else ()
    return (*by_day, Parts(f"events_by_{period}", period), *by_version)


_EVENT = category("event", "Event")
_TWICE = "A week that two months share counts an installation once in each month."

USAGE = QuestionSection(
    "usage",
    "Use",
    (
        Question(
            id="overview",
            title="Overview",
            question="How much was collected?",
            chart="number",
            columns=(_EVENTS, count("installations", "Installations, once for each month")),
            sql="SELECT sum(events) AS events, count(DISTINCT instance_id) AS installations FROM usage",
            uses=("usage",),
            note=_MONTHLY,
            whole_of="events_by_month",
        ),
        _by(
            "day",
            "day",
            _EVENT,
            _EVENTS,
            chart="stacked",
            question="How many events of each kind occurred on a day (UTC)?",
        ),
        _by(
            "week",
            "{week(day)}",
            _EVENT,
            _EVENTS,
            chart="stacked",
            question="How many events of each kind occurred in a week from Monday on?",
            note=_TWICE,
        ),
        _by(
            "month",
            "{month(day)}",
            _EVENT,
            _EVENTS,
            chart="stacked",
            question="How many events of each kind occurred in a month?",
        ),
        _by("day", "day", chart="line", question="How many installations sent something on a day (UTC)?"),
        _by(
            "week",
            "{week(day)}",
            chart="line",
            question="How many installations sent something in a week from Monday on?",
            note=_TWICE,
        ),
        _by(
            "month",
            "{month(day)}",
            chart="bar",
            question="How many installations sent something in a month?",
            note=_MONTHLY,
        ),
        Question(
            id="versions",
            title="Versions by week",
            question="Which versions of the app do installations run?",
            chart="stacked",
            columns=(time("week", "Week"), category("version", "Version"), _INSTALLATIONS, _EVENTS),
            sql="""
SELECT week, version, count(DISTINCT instance_id) AS installations, sum(events) AS events
FROM (SELECT {week(day)} AS week, version, instance_id, events FROM usage) AS of_weeks
GROUP BY week, version
ORDER BY week, version
""",
            uses=("usage",),
            note="An installation that was upgraded within a week counts for both versions.",
            inward=("events",),
        ),
        Question(
            id="retention",
            title="Retention within a month",
            question="Of the installations of a month's first seven days, which part sends in its later weeks?",
            chart="heatmap",
            columns=(
                time("month", "Month"),
                category("days", "Days of the month"),
                share("share", "Still there"),
                _INSTALLATIONS,
                count("of_installations", "Of installations"),
            ),
            sql="""
SELECT month, days, round(1.0 * count(DISTINCT instance_id) / max(size), 4) AS share,
       count(DISTINCT instance_id) AS installations, max(size) AS of_installations
FROM (SELECT seen.month AS month, seen.days AS days, seen.instance_id AS instance_id, early.size AS size
      FROM (SELECT DISTINCT {month(day)} AS month, {days(day)} AS days, instance_id FROM usage) AS seen
      JOIN (SELECT month, count(DISTINCT instance_id) AS size
            FROM (SELECT {month(day)} AS month, instance_id FROM usage WHERE {days(day)} = '01-07') AS first_days
            GROUP BY month) AS early ON early.month = seen.month
      WHERE seen.instance_id IN (SELECT instance_id FROM usage WHERE {days(day)} = '01-07')) AS of_early
GROUP BY month, days
ORDER BY month, days
""",
            uses=("usage",),
            note="Retention over months cannot be known: "
            "an installation has another id every month. The current month goes on.",
            known=("days",),
            shares=(Share("share", "installations", "of_installations"),),
        ),
        Question(
            id="set_apart",
            title="Installations set apart",
            question=f"Which months have installations with more than {_BOUND} events on one day?",
            chart="table",
            columns=(time("month", "Month"), _INSTALLATIONS, _EVENTS),
            sql="""
SELECT month, count(DISTINCT instance_id) AS installations, sum(events) AS events
FROM (SELECT {month(day)} AS month, instance_id, events FROM daily
      WHERE instance_id IN (SELECT instance_id FROM heavy)) AS apart
GROUP BY month
ORDER BY month
""",
            uses=("daily", "heavy"),
            inward=("events",),
            note="No app makes so many: load tests, loops and forgeries do. Other figures of events leave them out.",
        ),
    ),
)
