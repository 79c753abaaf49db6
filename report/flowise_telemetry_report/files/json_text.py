"""A report as one JSON object."""

from __future__ import annotations

import json
from dataclasses import asdict

from flowise_telemetry_report.document import Report

__all__ = ["as_json"]


def as_json(report: Report) -> str:
    """Return the report as JSON text: all of its fields, a suppressed number as null, the query of each figure."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n"
