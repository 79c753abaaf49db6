"""``flowise-telemetry report``: what a sink holds, as a page or as numbers."""

from __future__ import annotations

import time
from pathlib import Path

import click

from flowise_telemetry_cli.options import umask_option
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.replay.bounds import moment_ms
from flowise_telemetry_report import Report
from flowise_telemetry_report.engines import ENGINES
from flowise_telemetry_report.files import as_json, as_markdown, write_file, write_folder
from flowise_telemetry_report.making import DEFAULT_K, LEAST_K, make_report
from flowise_telemetry_report.page import load_template, render
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["report"]

_PAGE = "index.html"


@click.command()
@umask_option
@click.option("--sink", metavar="URL", required=True, help=f"Sink to ask: {', '.join(ENGINES)}.")
@click.option(
    "--since",
    metavar="DATE|AGE",
    help="Only from this day on (UTC), or from the day of this age: 2026-01-31, 30d.",
)
@click.option(
    "--out",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="File to write; of html also a folder, which gets the page and its numbers as JSON and CSV.  [default: stdout;"
    " html: needed]",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["html", "json", "markdown"]),
    default="html",
    show_default=True,
    help="A page to look at, numbers for programs, or tables for a text.",
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
def report(*, sink: str, since: str | None, out: Path | None, file_format: str, public: bool, k: int) -> None:
    """Report what a sink holds, by its own engine: installations, versions, node types, pairs, tools, loss.

    Nothing in the sink changes. Each figure names its query, which anyone can run again.

    \b
    Example:
      flowise-telemetry report --sink sqlite:///telemetry.db --since 30d --public --out site
    """
    if file_format == "html":
        if out is None:
            raise ConfigurationError("name a folder or a .html file to write the page to", argument="out")
        load_template()  # what is missing is told before the sink is asked
    now_ms = time.time_ns() // 1_000_000
    since_ms = None if since is None else moment_ms(since, now_ms=now_ms, argument="since")
    with ProgressDisplay[str](_status) as display:
        made = make_report(
            sink,
            since_ms=since_ms,
            now_ms=now_ms,
            k=k if public else None,
            on_question=lambda question: display.show(f"asking for {question.title.lower()}"),
        )
        text = _text(made, file_format)
        if out is not None and file_format == "html" and out.suffix.lower() not in (".html", ".htm"):
            write_folder(out, made, {_PAGE: text})
        elif out is not None:
            write_file(out, text)
        figures = sum(len(section.figures) for section in made.sections)
        display.show(f"{figures} figures of {made.sink}" + ("" if out is None else f" in {out}"))
    if out is None:
        echo(text.removesuffix("\n"))


def _text(made: Report, file_format: str) -> str:
    if file_format == "json":
        return as_json(made)
    return as_markdown(made) if file_format == "markdown" else render(made)


def _status(text: str, seconds: float) -> Status:
    return Status(text)
