"""All questions, in the order of a report."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_report.questions.delivery import delivery
from flowise_telemetry_report.questions.flows import FLOWS
from flowise_telemetry_report.questions.question import QuestionSection
from flowise_telemetry_report.questions.usage import USAGE

__all__ = ["sections"]


def sections(dropped: Sequence[str]) -> Sequence[QuestionSection]:
    """Return the sections of a report; ``dropped`` are the columns of drops that ``streams`` has."""
    return (USAGE, FLOWS, delivery(dropped))
