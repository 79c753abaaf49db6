"""A report as values."""

from __future__ import annotations

import json
from dataclasses import asdict

from flowise_telemetry_report import Column, Figure, Report, Section


def test_a_report_is_json_as_it_stands() -> None:
    figure = Figure(
        id="events_by_day",
        title="Events by day",
        question="How many events arrived on each day?",
        chart="line",
        columns=(Column("day", "Day (UTC)", "time"), Column("events", "Events", "count")),
        rows=(("2026-11-01", 20), ("2026-11-02", None)),
        query="SELECT 1",
        suppressed=1,
    )
    report = Report("2026-11-03T00:00:00Z", None, "sqlite", 20, (Section("use", "Use", (figure,)),))

    read = json.loads(json.dumps(asdict(report)))

    assert read["sections"][0]["figures"][0]["rows"] == [["2026-11-01", 20], ["2026-11-02", None]]
