"""Every number of a report, compared with counts made in Python from the same events, on each engine."""

from __future__ import annotations

from datetime import UTC, date, datetime

from flowise_telemetry_report import Figure, Report
from flowise_telemetry_report.making import make_report
from tests.report.world import HEAVY, World

NOW_MS = 1_790_000_000_000
WORLD = World()


def figures(report: Report) -> dict[str, Figure]:
    return {figure.id: figure for section in report.sections for figure in section.figures}


def test_every_number_is_what_python_counts(engine_url: str) -> None:
    WORLD.write(engine_url)
    made = figures(make_report(engine_url, now_ms=NOW_MS, heavy_events_a_day=HEAVY))
    wanted = WORLD.figures()
    assert {name: sorted(figure.rows, key=str) for name, figure in made.items()} == {
        name: sorted(rows, key=str) for name, rows in wanted.items()
    }
    assert all(rows for name, rows in wanted.items() if name != "dead_letters")


def test_only_days_from_since_on_count(engine_url: str) -> None:
    WORLD.write(engine_url)
    since_ms = round(datetime(2026, 2, 10, 15, 30, tzinfo=UTC).timestamp() * 1000)
    report = make_report(engine_url, since_ms=since_ms, now_ms=NOW_MS, heavy_events_a_day=HEAVY)
    assert report.since == "2026-02-10T00:00:00Z"
    made, wanted = figures(report), WORLD.figures(date(2026, 2, 10))
    for name in set(wanted) - {"withheld", "loss", "drops"}:
        assert sorted(made[name].rows, key=str) == sorted(wanted[name], key=str), name
