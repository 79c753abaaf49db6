"""``flowise-telemetry report``: what a sink holds, as a page or as numbers."""

from __future__ import annotations

import time
from pathlib import Path

import click

from flowise_telemetry_cli.options import umask_option
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.replay.bounds import moment_ms
from flowise_telemetry_report.files import as_json, as_markdown, write_file, write_folder
from flowise_telemetry_report.making import DEFAULT_K, LEAST_K, make_report
from flowise_telemetry_report.questions import Question

__all__ = ["report"]

_TEXTS = {"json": as_json, "markdown": as_markdown}


@click.command()
@umask_option
@click.option("--sink", metavar="URL", required=True, help="Sink to ask: SQLite, PostgreSQL, DuckDB or ClickHouse.")
@click.option(
    "--since",
    metavar="DATE|AGE",
    help="Only from this day on (UTC), or from the day of this age: 2026-01-31, 30d.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["json", "markdown"]),
    default="markdown",
    show_default=True,
    help="Numbers for programs, or tables for people.",
)
@click.option(
    "--out",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="File to write, or an existing folder, which gets the numbers as files, too.  [default: stdout]",
)
@click.option(
    "--public", is_flag=True, help="Show nothing of few installations, nor the sink's URL: a report to be published."
)
@click.option(
    "--k",
    type=click.IntRange(min=LEAST_K),
    default=DEFAULT_K,
    show_default=True,
    help="Fewest installations behind a number of a public report.",
)
def report(*, sink: str, since: str | None, file_format: str, out: Path | None, public: bool, k: int) -> None:
    """Report what a sink holds: installations, versions, node types, pairs, tools, loss, by the sink's own engine.

    Nothing in the sink changes. Each figure names its query, which anyone can run again.

    \b
    Example:
      flowise-telemetry report --sink sqlite:///telemetry.db --since 30d --public --out report.md
    """
    now_ms = time.time_ns() // 1_000_000
    since_ms = None if since is None else moment_ms(since, now_ms=now_ms, argument="since")
    with ProgressDisplay(_status) as display:
        made = make_report(sink, since_ms=since_ms, now_ms=now_ms, k=k if public else None, on_question=display.show)
    text = _TEXTS[file_format](made)
    if out is None:
        click.echo(text, nl=False)
    elif out.is_dir():
        write_folder(out, made, {f"report.{file_format.replace('markdown', 'md')}": text})
        echo(f"{sum(len(its.figures) for its in made.sections)} figures in {out}", err=True)
    else:
        write_file(out, text)
        echo(f"{sum(len(its.figures) for its in made.sections)} figures in {out}", err=True)


def _status(question: Question, seconds: float) -> Status:
    return Status(f"asking for {question.title.lower()}")
