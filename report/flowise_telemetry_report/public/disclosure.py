"""Figures with every number."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_report.asking import AnsweredSection
from flowise_telemetry_report.document import Section

__all__ = ["disclosed"]


def disclosed(sections: Sequence[AnsweredSection]) -> tuple[Section, ...]:
    """Return the answers as they are."""
    return tuple(
        Section(
            its.id,
            its.title,
            tuple(answer.question.figure(answer.rows, answer.query, note=answer.note) for answer in its.answers),
        )
        for its in sections
    )
