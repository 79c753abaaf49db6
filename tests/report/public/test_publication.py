"""A public report shows nothing of few installations, and nothing shown depends on what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_report import Figure
from flowise_telemetry_report.asking import Answer, AnsweredSection
from flowise_telemetry_report.document import Cell
from flowise_telemetry_report.public import published
from flowise_telemetry_report.questions import Question, sections

K = 5
Rows = list[tuple[Cell, ...]]
QUESTIONS = {question.id: question for section in sections(["dropped_closed"]) for question in section.questions}


def section_of(rows: dict[str, Rows]) -> AnsweredSection:
    """All answers, of which these have rows."""
    answers = [Answer(question, tuple(rows.get(name, ())), "SELECT 1") for name, question in QUESTIONS.items()]
    return AnsweredSection("all", "All", tuple(answers))


def public(rows: dict[str, Rows], k: int = K) -> dict[str, Figure]:
    (section,) = published([section_of(rows)], k)
    return {figure.id: figure for figure in section.figures}


def row_of(question: Question, draw: st.DrawFn, installations: int) -> tuple[Cell, ...]:
    """A row of any values, of so many installations."""

    def cell(name: str, kind: str) -> Cell:
        if name == question.installations:
            return installations
        if kind == "time":
            return draw(st.sampled_from(["2026-01-05", "2026-02-02"]))
        if kind == "category":
            return draw(st.sampled_from(["one", "two", "three"]))
        return draw(st.integers(installations, 500)) if kind == "count" else 0.5

    return tuple(cell(column.name, column.kind) for column in question.columns)


@st.composite
def two_worlds(draw: st.DrawFn) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Answers, and the same ones where what few installations sent is something else."""
    one: dict[str, Rows] = {}
    other: dict[str, Rows] = {}
    for name, question in QUESTIONS.items():
        if name == "overview":
            continue
        one[name], other[name] = [], []
        for _ in range(draw(st.integers(0, 3))):
            installations = draw(st.integers(1, 2 * K))
            row = row_of(question, draw, installations)
            one[name].append(row)
            changed = row_of(question, draw, installations)
            keeps = {column.name for column in question.columns if column.kind in ("time", "category")}
            mixed = tuple(
                old if column.name in keeps else new
                for column, old, new in zip(question.columns, row, changed, strict=True)
            )
            other[name].append(mixed if installations < K else row)
    for rows in (one, other):
        events = sum(int(str(row[2])) for row in rows["events_by_month"])
        rows["overview"] = [(events, 50)]
    return one, other


@given(two_worlds())
def test_nothing_shown_depends_on_what_few_installations_did(
    worlds: tuple[dict[str, Rows], dict[str, Rows]],
) -> None:
    one, other = worlds
    assert public(one) == public(other)


@given(two_worlds())
def test_every_count_is_of_k_and_every_other_number_is_none(
    worlds: tuple[dict[str, Rows], object],
) -> None:
    for figure in public(worlds[0]).values():
        for row in figure.rows:
            counts = [cell for cell, column in zip(row, figure.columns, strict=True) if column.kind == "count"]
            assert all(count is None for count in counts) or all(
                isinstance(count, int) and count % K == 0 for count in counts
            )


def test_names_that_few_installations_use_are_not_shown() -> None:
    figure = public({"tools": [("get_time", 40, 90), ("our_own_secret", 4, 4)]})["tools"]
    assert figure.rows == (("get_time", 40),)
    assert (figure.suppressed, [column.name for column in figure.columns]) == (1, ["tool_name", "installations"])


def test_days_of_few_installations_are_there_without_a_number() -> None:
    figure = public({"installations_by_day": [("2026-01-05", 12), ("2026-01-06", 4)]})["installations_by_day"]
    assert figure.rows == (("2026-01-05", 10), ("2026-01-06", None))


def test_a_sum_is_of_what_is_shown() -> None:
    months: Rows = [("2026-01-01", "prediction_sent", 103, 12), ("2026-01-01", "tool_created", 900, 2)]
    figures = public({"events_by_month": months, "overview": [(1003, 13)]})
    assert figures["overview"].rows == ((100, 10),)
    assert figures["events_by_month"].rows == (
        ("2026-01-01", "prediction_sent", 100, 10),
        ("2026-01-01", "tool_created", None, None),
    )


def test_shares_are_of_what_is_shown() -> None:
    origins: Rows = [
        ("2026-01-01", "EXTERNAL", 0.3, 30, 7),
        ("2026-01-01", "INTERNAL", 0.6, 60, 9),
        ("2026-01-01", "OTHER", 0.1, 10, 2),
        ("2026-02-01", "INTERNAL", 1.0, 60, 9),
    ]
    assert public({"origins": origins})["origins"].rows == (
        ("2026-01-01", "EXTERNAL", 0.3333, 5),
        ("2026-01-01", "INTERNAL", 0.6667, 5),
        ("2026-01-01", "OTHER", None, None),
        ("2026-02-01", "INTERNAL", 1.0, 5),
    )
    retention: Rows = [("2026-01-01", "08-14", 0.9, 9, 10), ("2026-01-01", "15-21", 0.4, 4, 10)]
    assert public({"retention": retention})["retention"].rows == (
        ("2026-01-01", "08-14", 0.5, 5, 10),
        ("2026-01-01", "15-21", None, None, None),
    )


def test_dead_letters_tell_no_installation_and_have_no_number() -> None:
    figure = public({"dead_letters": [("invalid", 4_000)]})["dead_letters"]
    assert figure.rows == (("invalid", None),)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_every_question_counts_the_installations_behind_its_rows(question: Question) -> None:
    names = [column.name for column in question.columns]
    assert question.installations in names or question.id == "dead_letters"
    assert set(question.inward) | set(question.known) <= set(names)
    for share in question.shares:
        assert {share.column, share.part, *share.within} <= set(names)
        assert share.whole in ("", *names)
    assert {column.name for column in question.columns if column.kind == "share"} == {
        share.column for share in question.shares
    }


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_counts_of_anything_but_installations_have_one_place(question: Question) -> None:
    """Two figures that divide one whole would tell what the other does not show."""
    told = {
        column.name
        for column in question.columns
        if column.kind == "count" and column.name not in (*question.inward, question.installations)
    }
    places = {
        "overview": {"events"},
        "events_by_month": {"events"},
        "retention": {"of_installations"},
        "node_types": {"flows", "of_flows"},
        "pairs": {"flows"},
        "vector_stores": {"flows"},
        "dead_letters": {"letters"},
    }
    assert told == places.get(question.id, set())


def test_a_week_is_guarded_against_its_days() -> None:
    days = [(f"2026-01-{day:02}", 2 * K - 1) for day in range(5, 9)] + [("2026-01-09", K - 1)]
    whole = sum(int(str(day[1])) for day in days)
    rows: dict[str, Rows] = {
        "installations_by_week": [("2026-01-05", whole)],
        "installations_by_day": list(days),
    }
    shown = public(rows)["installations_by_week"].rows[0][1]
    assert isinstance(shown, int)
    assert shown < whole - whole % K
