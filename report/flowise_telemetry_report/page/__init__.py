"""One self-contained page of a report: charts, their tables, the SQL behind each; nothing is fetched."""

from __future__ import annotations

from flowise_telemetry_report.page.rendering import load_template, render

__all__ = ["load_template", "render"]
