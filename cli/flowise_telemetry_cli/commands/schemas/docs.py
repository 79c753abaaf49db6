"""``flowise-telemetry schemas docs``: what is to be known of the events, for people and for programs."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import click

from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.dbt_sources import dbt_sources
from flowise_telemetry_schemas.event_document import event_document
from flowise_telemetry_schemas.event_page import event_page
from flowise_telemetry_schemas.released import read_list

__all__ = ["docs"]


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@schemas_option
@click.option("--event", help="This event alone.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "json", "dbt"]),
    default="markdown",
    show_default=True,
    help="A page an event, one JSON object an event and line, or the tables as dbt sources with tests.",
)
@pass_invocation
def docs(invocation: Invocation, *, folder: Path | None, event: str | None, form: str) -> None:
    """Print what is collected and why, what fits, since when and until when, and how to query it.

    FOLDER holds events, each in a folder of its own; the default is those of this installation, and of --schemas.

    \b
    Example:
      flowise-telemetry schemas docs --event tool_created
      flowise-telemetry schemas docs --format dbt > models/sources.yml
    """
    schemas = invocation.catalog if folder is None else Catalog.load(folder)
    known = read_list(files("flowise_telemetry_schemas") / "avro" if folder is None else folder)
    if folder is None and invocation.own_events is not None:
        known |= invocation.own_events.released
    names = schemas.names if event is None else (schemas.latest(event).event,)
    documents = [event_document(schemas, name, known) for name in names]
    match form:
        case "json":
            for document in documents:
                echo(json.dumps(document.as_json(), ensure_ascii=False))
        case "dbt":
            echo(dbt_sources(documents).removesuffix("\n"))
        case _:
            echo("\n".join(map(event_page, documents)).removesuffix("\n"))
