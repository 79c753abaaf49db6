"""Step 1: events are sent, stored by the consumer, and shown."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.commands.demo.pipeline import PipelineRun, run_pipeline
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer.loss import Loss, Outcome, loss_of
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_report.files import write_file
from flowise_telemetry_report.making import make_report
from flowise_telemetry_report.page import render
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import EmbeddedBroker

__all__ = ["TITLE", "show_the_pipeline"]

TITLE = "Events are sent, stored and shown"

REPORT = "report.html"
"""Name of the report's page, beside the SQLite file."""

_MALFORMED = 7
_MEANINGS = {
    "constraint": "a value that its field's bounds do not allow",
    "empty": "no byte in it",
    "tombstone": "a key without any value",
    "trailing_bytes": "something follows the event",
    "truncated": "it ends before the event does",
    "unknown_fingerprint": "made by a schema that nobody here has",
    "unknown_framing": "another format, such as JSON",
}


def show_the_pipeline(narration: Narration, events: int, database: Path) -> bool:
    """Run the pipeline into the SQLite file; return False if it was not run to its end."""
    with EmbeddedBroker() as broker:
        return _show(narration, broker, events, database)


def _show(narration: Narration, broker: EmbeddedBroker, events: int, database: Path) -> bool:
    narration.begin(
        TITLE,
        done=f"an invented app sends {events:,} events to a Kafka broker, the server that keeps what is sent until "
        f"it is read; this one runs inside this program. {_MALFORMED} records that are no valid events are sent too. "
        f"The consumer reads them all, checks each, and writes the events to tables in {database}.",
        look="the column dead-lettered: a dead letter is a record that could not be written and is set aside, with the "
        "reason. Nothing else may be missing. Then the report.",
    )
    database.parent.mkdir(parents=True, exist_ok=True)
    before = _loss(database)
    run = run_pipeline(broker, events, database)
    echo(err=True)  # below the progress
    _show_counts(narration, run)
    if not run.done:
        return False
    outcome = _of_this_run(before, _loss(database))
    dropped = sum(outcome.dropped.values())
    narration.go_on(
        "Each event got a number in the app, before anything could happen to it. So the table can be asked what is "
        "missing (`loss`), and the sum has to be right:"
    )
    narration.show(
        f"numbered {outcome.numbered:,} = written {outcome.written:,} + dropped {dropped:,}"
        f" + on the way {outcome.on_the_way:,}\n"
        f"{'':{len(f'numbered {outcome.numbered:,} ')}}+ unexplained {outcome.unexplained:,}"
    )
    page = _show_report(narration, database)
    expected = "{:,} events written, {} records dead-lettered, {} missing, a report"
    found = expected.format(run.counters.written.total(), sum(run.letters.by_reason.values()), outcome.missing)
    narration.compare(expected.format(events, _MALFORMED, 0), found if page.is_file() else f"{found}: not written")
    return True


def _show_report(narration: Narration, database: Path) -> Path:
    """Write the page of a report beside the SQLite file, and print its first numbers."""
    made = make_report(f"sqlite:///{database}", now_ms=time.time_ns() // 1_000_000)
    page = database.with_name(REPORT)
    write_file(page, render(made))
    figures = {figure.id: figure for section in made.sections for figure in section.figures}
    ((events, _installations),) = figures["overview"].rows
    narration.go_on(
        f"The report is made of queries to that table. Open {page} in a browser (it loads nothing from the network); "
        f"it counts {events:,} events, earlier demos' included. The node types of most flows:"
    )
    shown = figures["node_types"]
    columns = [column.name for column in shown.columns]
    name, flows = columns.index("node_type"), columns.index("flows")
    narration.show(table(("type of node", "flows"), [(row[name], row[flows]) for row in shown.rows[:5]]))
    return page


def _loss(database: Path) -> Loss:
    with closing(open_sink(f"sqlite:///{database}")) as sink:
        sink.prepare(list(catalog()))
        return loss_of(sink, now_ms=time.time_ns() // 1_000_000)


def _of_this_run(before: Loss, after: Loss) -> Outcome:
    """Return the outcome of the installations that are new: the demo invents one, and deletes its secret."""
    new = (outcome for instance, outcome in after.by_instance.items() if instance not in before.by_instance)
    return sum(new, Outcome())


def _show_counts(narration: Narration, run: PipelineRun) -> None:
    written = run.counters.written
    dead: Counter[str] = Counter()
    for schema, count in run.letters.by_schema.items():
        event, dot, _version = schema.partition(".v")
        dead[event if dot else "(no event)"] += count
    names = [*sorted({*run.sent, *written}), *(["(no event)"] if dead["(no event)"] else [])]
    rows = [(name, run.sent[name] + dead[name], written[name], dead[name]) for name in names]
    total = ("all", sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows))
    narration.show(table(("event", "sent", "written", "dead-lettered"), [*rows, total]))
    echo()
    why = [(reason, count, _MEANINGS.get(reason, "")) for reason, count in sorted(run.letters.by_reason.items())]
    narration.show(table(("why dead-lettered", "records", "it means"), why))
    if told := run.counters.control.total():
        which = (
            "record in which the app tells its own counts was"
            if told == 1
            else "records in which the app tells its own counts were"
        )
        narration.go_on(f"{told} {which} written as well (stream_state). It took {run.seconds:.1f} s.")
