"""``flowise-telemetry schemas new``: the first version of an event."""

from __future__ import annotations

from pathlib import Path

import click

from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas.new_event import checkout_folder, write_first_version

__all__ = ["new"]


@click.command()
@click.argument("event")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--namespace", help="Namespace of your own, such as com.example.app.  [default: that of the events in the folder]"
)
@click.option("--doc", help="One sentence on when the event happens.  [default: made of its name]")
def new(event: str, folder: Path | None, namespace: str | None, doc: str | None) -> None:
    """Write the first version of an EVENT, with the envelope and the app's version, for its own fields to be added.

    FOLDER holds the events, each in a folder of its own; the default is that of this checkout. EVENT is a name in
    snake_case that says what happened.

    \b
    Example:
      flowise-telemetry schemas new flow_shared
      flowise-telemetry schemas new variable_created telemetry --namespace com.example.app
    """
    place = checkout_folder() if folder is None else folder
    file = write_first_version(event, place, namespace=namespace, doc=doc)
    echo(str(file))
    generate = "make generate" if folder is None else "schemas generate"
    steps = ("add its fields, each with doc, purpose, classification and bounds", "fill in event.toml", "schemas check")
    echo(f"next: {'; '.join((*steps, generate))}", err=True)
