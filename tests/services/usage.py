"""Which services a run used, and how many tests each: the last lines that it prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.services.sharing import Shareable, SharedService

__all__ = ["Usage"]

_NAMES = ("kafka broker", "database", "ClickHouse server")


class Usage:
    """Of this process, and what the workers reported of theirs."""

    def __init__(self) -> None:
        self._own: dict[str, SharedService[Any]] = {}
        self._reports: list[dict[str, Any]] = []

    def add(self, name: str, found: SharedService[Any]) -> None:
        """Count ``found`` in, one of those that are named at the end."""
        self._own[name] = found

    def report(self) -> dict[str, Any]:
        """What this process used, as JSON."""
        return {
            name: {
                "description": found.service.description,
                "passed_over": found.passed_over,
                "tests": sorted(_tests(found.service)),
            }
            for name, found in self._own.items()
        }

    def merge(self, report: dict[str, Any]) -> None:
        """Count in what a worker used."""
        self._reports.append(report)

    def lines(self) -> Iterator[str]:
        """A line for each service, and one for each that could not be had in its place."""
        reports = [self.report(), *self._reports]
        for name in _NAMES:
            used = [report[name] for report in reports if name in report]
            if not used:
                yield f"{name}: none was needed"
                continue
            for description in sorted({each["description"] for each in used}):
                tests = {test for each in used if each["description"] == description for test in each["tests"]}
                yield f"{name}: {description} ({len(tests)} tests)"
            yield from (f"  not {reason}" for reason in used[0]["passed_over"])


def _tests(service: Shareable) -> set[str]:
    return {test for test in service.used_by if test}
