"""Figures for the public (ADR 0042): nothing of fewer than k installations, and no way to it by difference.

Counts are rounded down to multiples of k. Those of anything but installations appear where no two figures divide the
same whole; where one is the sum of another, it is the sum of what is shown of that. Shares are made of what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from flowise_telemetry_report.asking import Answer, AnsweredSection
from flowise_telemetry_report.document import Cell, Figure, Section
from flowise_telemetry_report.public.guard import guarded, rounded, value
from flowise_telemetry_report.questions import Question, Share

__all__ = ["published"]

_Named = dict[str, Cell]


def published(sections: Sequence[AnsweredSection], k: int) -> tuple[Section, ...]:
    """Return what the public may see of the answers."""
    answers = {answer.question.id: answer for section in sections for answer in section.answers}
    return tuple(
        Section(its.id, its.title, tuple(_published(answer, answers, k) for answer in its.answers)) for its in sections
    )


def _published(answer: Answer, answers: Mapping[str, Answer], k: int) -> Figure:
    question = answer.question
    rows = _named_rows(answer)
    is_shown = [_is_shown(question, row, k) for row in rows]
    visible = [row for row, shown in zip(rows, is_shown, strict=True) if shown]
    shares = {id(row): _shares(question, row, visible, k) for row in visible}
    columns = tuple(column for column in question.columns if column.name not in question.inward)
    numbers = [column.name for column in columns if column.kind in ("count", "share")]
    names_all_know = all(column.name in question.known for column in columns if column.kind == "category")
    made: list[tuple[Cell, ...]] = []
    suppressed = 0
    for row, shown in zip(rows, is_shown, strict=True):
        if shown:
            told: _Named = {**row, **_counts(question, row, answers, k), **shares[id(row)]}
            made.append(tuple(told[column.name] for column in columns))
            continue
        suppressed += len(numbers)
        if names_all_know:
            made.append(tuple(None if column.name in numbers else row[column.name] for column in columns))
    figure = question.figure(tuple(made), answer.query, note=answer.note)
    return replace(figure, columns=columns, suppressed=suppressed)


def _named_rows(answer: Answer) -> list[_Named]:
    names = [column.name for column in answer.question.columns]
    return [dict(zip(names, row, strict=True)) for row in answer.rows]


def _is_shown(question: Question, row: _Named, k: int) -> bool:
    """Tell if at least k installations are behind a row. Of what tells no installation, nothing is shown."""
    return bool(question.installations) and value(row[question.installations]) >= k


def _counts(question: Question, row: _Named, answers: Mapping[str, Answer], k: int) -> _Named:
    """Return the counts of a row as they are shown."""
    counts: _Named = {}
    of_parts = answers.get(question.whole_of)
    for column in question.columns:
        if column.kind != "count" or column.name in question.inward:
            continue
        whole = value(row[column.name])
        if of_parts is not None and column.name != question.installations:
            whole = sum(
                value(part[column.name]) for part in _named_rows(of_parts) if _is_shown(of_parts.question, part, k)
            )
        counts[column.name] = rounded(whole, k)
        if column.name == question.installations:
            counts[column.name] = guarded(whole, _parts_of(question, row, answers), k)
    return counts


def _parts_of(question: Question, row: _Named, answers: Mapping[str, Answer]) -> list[list[int]]:
    """Return the installations of the parts of a row, of each figure that divides it."""
    found = []
    for parts in question.parts:
        finer = answers[parts.figure].question
        period = finer.columns[0].name
        found.append(
            [
                value(part[finer.installations])
                for part in _named_rows(answers[parts.figure])
                if _lies_in(str(part[period]), str(row[parts.period]), parts.period)
            ]
        )
    return found


def _lies_in(part: str, period: str, kind: str) -> bool:
    """Tell if the first day of a part lies in the period that begins on a day."""
    if kind == "month":
        return part[:7] == period[:7]
    days = (date.fromisoformat(part) - date.fromisoformat(period)).days
    return 0 <= days < (7 if kind == "week" else 1)


def _shares(question: Question, row: _Named, visible: Sequence[_Named], k: int) -> _Named:
    """Return the shares of a row: of rounded counts, or of the counts of the rows that are shown."""
    made: _Named = {}
    for share in question.shares:
        part, whole = _part_and_whole(share, row, visible, k)
        made[share.column] = round(part / whole, 4) if whole else None
    return made


def _part_and_whole(share: Share, row: _Named, visible: Sequence[_Named], k: int) -> tuple[int, int]:
    if share.whole:
        return rounded(value(row[share.part]), k), rounded(value(row[share.whole]), k)
    alike = [other for other in visible if all(other[name] == row[name] for name in share.within)]
    return value(row[share.part]), sum(value(other[share.part]) for other in alike)
