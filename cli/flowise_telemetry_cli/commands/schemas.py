"""``flowise-telemetry schemas``: show and check the contract."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flowise_telemetry_cli.command_group import CommandGroup
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.disclosure import bound, flatten

__all__ = ["schemas"]


@click.group(cls=CommandGroup)
def schemas() -> None:
    """Schemas of the events."""


@schemas.command(name="list")
@json_option("Print one JSON object a line.")
def list_schemas(as_json: bool) -> None:
    """List every version of every event, with its fingerprint.

    \b
    Example:
      flowise-telemetry schemas list
    """
    rows = [(schema.event, f"v{schema.version}", schema.fingerprint_hex, schema.doc) for schema in catalog()]
    if as_json:
        for event, version, fingerprint, doc in rows:
            echo(json.dumps({"event": event, "version": version, "fingerprint": fingerprint, "doc": doc}))
    else:
        echo(table(("event", "version", "fingerprint", "description"), rows))


@schemas.command()
@click.argument("event")
@click.option("--version", type=click.IntRange(min=1), help="Version number.  [default: the latest]")
@json_option("Print the Avro schema itself.")
def show(event: str, version: int | None, as_json: bool) -> None:
    """Show the fields of an EVENT: why each is collected and what fits into it.

    \b
    Example:
      flowise-telemetry schemas show prediction_sent
    """
    schema = catalog().latest(event) if version is None else catalog().get(event, version)
    if as_json:
        echo(json.dumps(schema.source, indent=2, ensure_ascii=False))
        return
    echo(f"{schema.event} v{schema.version}  {schema.fingerprint_hex}\n{schema.doc}\n")
    rows = [
        (path, field.classification, field.purpose, bound(field))
        for top in schema.fields
        for path, field in flatten(top)
    ]
    echo(table(("field", "kind", "why it is collected", "bound"), rows))


@schemas.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def check(folder: Path | None) -> int:
    """Check that the schemas hold bounded, documented fields only.

    FOLDER holds <event>/v<version>.avsc files; the default is the schemas of this installation.

    \b
    Example:
      flowise-telemetry schemas check schemas/flowise_telemetry_schemas/avro
    """
    checked = catalog() if folder is None else Catalog.load(folder)
    found = problems(checked)
    for problem in found:
        echo(str(problem))
    echo(f"{len(list(checked))} schemas, {len(found)} problems", err=True)
    return FAILED if found else DONE
