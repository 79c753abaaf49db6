"""All questions to one engine: bases are made once where it keeps them, and each answer names its whole query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from flowise_telemetry_consumer.sinks.account.tables import DROPPED, dropped_columns
from flowise_telemetry_report.asking.answer import Answer, AnsweredSection, cells
from flowise_telemetry_report.asking.narrowing import narrow_graphs
from flowise_telemetry_report.engines import Engine, filled
from flowise_telemetry_report.questions import Base, Question, QuestionSection, bases_for, sections

__all__ = ["ask"]

_INDENT = "    "


class _Inquiry:
    """Questions to one engine about one period."""

    def __init__(self, engine: Engine, since: date, heavy: int) -> None:
        self._engine = engine
        self._since = since
        self._heavy = heavy
        self._kept: dict[str, bool] = {}
        self._there: dict[str, bool] = {}
        self._are_latest = False

    def answer(self, question: Question) -> Answer:
        """Ask one question; where the sink lacks what it needs, say so."""
        bases = bases_for(question.uses)
        text = self._filled(question.sql)
        query = _with_bases({base.name: self._filled(base.sql) for base in bases}, text)
        needs = dict.fromkeys((*question.needs, *(need for base in bases for need in base.needs)))
        lacking = [need for need in needs if not self._has(need)]
        if lacking:
            return Answer(question, (), query, f"This sink has no {', '.join(lacking)}: not known.")
        made = [base for base in bases if not self._keep(base)]
        inline = {base.name: self._filled(base.sql, are_latest=self._are_latest) for base in made}
        rows = self._engine.rows(_with_bases(inline, text))
        return Answer(question, tuple(cells(question.columns, row) for row in rows), query)

    def _keep(self, base: Base) -> bool:
        if base.name not in self._kept and not base.kept:
            for its in bases_for(base.uses):
                self._keep(its)
            self._kept[base.name] = False
        elif base.name not in self._kept:
            used = [its for its in bases_for(base.uses) if not self._keep(its)]
            inline = {its.name: self._filled(its.sql) for its in used}
            self._kept[base.name] = self._engine.keep(base.name, _with_bases(inline, self._filled(base.sql)))
            if base.name == "latest" and self._kept[base.name]:
                self._are_latest = narrow_graphs(self._engine, to="latest")
        return self._kept[base.name]

    def _has(self, name: str) -> bool:
        if name not in self._there:
            self._there[name] = self._engine.has(name)
        return self._there[name]

    def _filled(self, text: str, *, are_latest: bool = False) -> str:
        return filled(text, self._engine.dialect, since=self._since, heavy=self._heavy, are_latest=are_latest)


def ask(
    engine: Engine, *, since: date, heavy_events_a_day: int, on_question: Callable[[Question], None]
) -> Sequence[AnsweredSection]:
    """Ask all questions; ``on_question`` is called before each. Raises as ``Engine.rows``."""
    dropped = [column for column in engine.columns("streams") if column.startswith(DROPPED)] or dropped_columns()
    inquiry = _Inquiry(engine, since, heavy_events_a_day)

    def answered(section: QuestionSection) -> AnsweredSection:
        answers = []
        for question in section.questions:
            on_question(question)
            answers.append(inquiry.answer(question))
        return AnsweredSection(section.id, section.title, tuple(answers))

    return [answered(section) for section in sections(dropped)]


def _with_bases(bases: Mapping[str, str], text: str) -> str:
    if not bases:
        return text
    named = ",\n".join(f"{name} AS (\n{_indented(sql)}\n)" for name, sql in bases.items())
    return f"WITH {named}\n{text}"


def _indented(text: str) -> str:
    return "\n".join(_INDENT + line for line in text.splitlines())
