"""Questions about what did not arrive: loss, drops and dead letters by reason, and what is withheld."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_report.questions.question import Question, QuestionSection, Share, category, count, share, time

__all__ = ["delivery"]

_INSTALLATIONS = count("installations", "Installations")
_ONE_BY_ONE = "Loss has no bound of events a day: installations set apart count here."


def delivery(dropped: Sequence[str]) -> QuestionSection:
    """Return the questions; ``dropped`` are the columns in which streams tell what was dropped, one a reason."""
    return QuestionSection("delivery", "Delivery", (_loss(), _drops(dropped), _LETTERS, _WITHHELD))


def _loss() -> Question:
    return Question(
        id="loss",
        title="Loss",
        question="What became of the events that installations numbered?",
        chart="stacked",
        columns=(
            time("month", "Month"),
            category("outcome", "Outcome"),
            share("share", "Part"),
            count("events", "Events"),
            _INSTALLATIONS,
        ),
        sql="""
SELECT by_outcome.month AS month, outcome, round(1.0 * events / of_events, 4) AS share, events, installations
FROM (SELECT month, outcome, sum(its) AS events, count(DISTINCT instance_id) AS installations
      FROM (SELECT {month(first_at)} AS month, 'received' AS outcome, received AS its, instance_id
            FROM stream_totals
            UNION ALL
            SELECT {month(first_at)} AS month, 'dropped' AS outcome, dropped AS its, instance_id
            FROM stream_totals
            UNION ALL
            SELECT {month(first_at)} AS month, 'missing' AS outcome, unaccounted AS its, instance_id
            FROM stream_totals) AS outcomes
      WHERE its > 0
      GROUP BY month, outcome) AS by_outcome
JOIN (SELECT month, sum(numbered) AS of_events
      FROM (SELECT {month(first_at)} AS month, numbered FROM stream_totals) AS all_streams
      GROUP BY month) AS whole ON whole.month = by_outcome.month
ORDER BY by_outcome.month, outcome
""",
        uses=("stream_totals",),
        note=f"Missing may be on its way still. {_ONE_BY_ONE} The month is that of the stream's first record.",
        known=("outcome",),
        inward=("events",),
        shares=(Share("share", "events", within=("month",)),),
    )


def _drops(dropped: Sequence[str]) -> Question:
    each = "\n      UNION ALL\n      ".join(
        f"SELECT '{column.removeprefix('dropped_')}' AS reason, {column} AS its, instance_id FROM stream_totals"
        for column in dropped
    )
    return Question(
        id="drops",
        title="Drops by reason",
        question="Why did apps drop events?",
        chart="bar",
        columns=(category("reason", "Reason"), count("events", "Events"), _INSTALLATIONS),
        sql=f"""
SELECT reason, sum(its) AS events, count(DISTINCT instance_id) AS installations
FROM ({each}) AS drops
WHERE its > 0
GROUP BY reason
ORDER BY events DESC, reason
""",
        uses=("stream_totals",),
        note=_ONE_BY_ONE,
        known=("reason",),
        inward=("events",),
    )


_LETTERS = Question(
    id="dead_letters",
    title="Dead letters by reason",
    question="Why could records not be written?",
    chart="bar",
    columns=(category("reason", "Reason"), count("letters", "Dead letters")),
    sql="""
SELECT reason, count(*) AS letters
FROM dead_letters
WHERE day >= {since}
GROUP BY reason
ORDER BY letters DESC, reason
""",
    needs=("dead_letters",),
    note="A record that could not be read tells no installation: a public report has no numbers of these.",
    installations="",
    known=("reason",),
)

_WITHHELD = Question(
    id="withheld",
    title="Withheld values",
    question="Which values do apps withhold, and by which rule?",
    chart="bar",
    columns=(
        category("field", "Field"),
        category("rule", "Rule"),
        count("withheld_values", "Values"),
        _INSTALLATIONS,
    ),
    sql="""
SELECT field, rule, sum(most) AS withheld_values, count(DISTINCT instance_id) AS installations
FROM (SELECT stream_id, instance_id, field, rule, max(times) AS most
      FROM ({withheld}) AS told
      GROUP BY stream_id, instance_id, field, rule) AS by_stream
GROUP BY field, rule
ORDER BY withheld_values DESC, field, rule
""",
    needs=("stream_state",),
    note="A withheld value is null, a hash or the type other; the event itself arrived.",
    known=("field", "rule"),
    inward=("withheld_values",),
)
