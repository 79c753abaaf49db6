"""Every number of a report, compared with counts made in Python from the same events, on each engine."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from flowise_telemetry_report import Figure, Report
from flowise_telemetry_report.making import make_report
from tests.report.world import HEAVY, World

NOW_MS = 1_790_000_000_000
WORLD = World()


def figures(report: Report) -> dict[str, Figure]:
    return {figure.id: figure for section in report.sections for figure in section.figures}


def test_every_number_since_a_day_is_what_python_counts(engine_url: str) -> None:
    compare(engine_url, date(2026, 1, 28))


def test_every_number_of_all_time_is_what_python_counts(tmp_path: Path) -> None:
    compare(f"sqlite:///{tmp_path}/events", None)


def compare(url: str, since: date | None) -> None:
    """Write the world, and compare the figures from the middle of a day on with those of the whole day."""
    WORLD.write(url)
    since_ms = (
        None
        if since is None
        else round(datetime(since.year, since.month, since.day, 15, tzinfo=UTC).timestamp() * 1000)
    )
    report = make_report(url, since_ms=since_ms, now_ms=NOW_MS, heavy_events_a_day=HEAVY)
    assert report.since == (None if since is None else f"{since}T00:00:00Z")
    made, wanted = figures(report), WORLD.figures(since or date(2020, 1, 1))
    assert {name: sorted(figure.rows, key=str) for name, figure in made.items()} == {
        name: sorted(rows, key=str) for name, rows in wanted.items()
    }
    assert all(rows for name, rows in wanted.items() if name != "dead_letters")
