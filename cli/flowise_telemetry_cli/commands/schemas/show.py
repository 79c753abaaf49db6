"""``flowise-telemetry schemas show``: the fields of an event."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas.disclosure import bound
from flowise_telemetry_schemas.field import flatten

__all__ = ["show"]


@click.command()
@click.argument("event")
@click.option("--version", type=click.IntRange(min=1), help="Version number.  [default: the latest]")
@schemas_option
@json_option("Print the Avro schema itself.")
@pass_invocation
def show(invocation: Invocation, *, event: str, version: int | None, as_json: bool) -> None:
    """Show the fields of an EVENT: why each is collected and what fits into it.

    \b
    Example:
      flowise-telemetry schemas show prediction_sent
    """
    schema = invocation.catalog.latest(event) if version is None else invocation.catalog.get(event, version)
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
