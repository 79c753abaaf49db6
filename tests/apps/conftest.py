"""The programs are in environments of their own, which ``make test-apps`` makes: ``make test`` leaves them out.

At the end of the run stands a table of what arrived.
"""

from __future__ import annotations

import os

import pytest

collect_ignore_glob = [] if os.environ.get("APP_PYTHONS") else ["test_*.py"]

_COLUMNS = ("program", "python", "client", "sent", "arrived", "of posthog-python")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        row
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, row in getattr(report, "user_properties", ())
        if name == "arrived"
    ]
    if not rows:
        return
    terminalreporter.section("real programs")
    table = [_COLUMNS, *sorted(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
