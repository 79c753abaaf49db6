"""``flowise-telemetry schemas list``: every schema there is."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table

__all__ = ["list_"]


@click.command(name="list")
@schemas_option
@json_option("Print one JSON object a line.")
@pass_invocation
def list_(invocation: Invocation, *, as_json: bool) -> None:
    """List every version of every event, with its fingerprint.

    \b
    Example:
      flowise-telemetry schemas list
    """
    rows = [(schema.event, f"v{schema.version}", schema.fingerprint_hex, schema.doc) for schema in invocation.catalog]
    if as_json:
        for event, version, fingerprint, doc in rows:
            echo(json.dumps({"event": event, "version": version, "fingerprint": fingerprint, "doc": doc}))
    else:
        echo(table(("event", "version", "fingerprint", "description"), rows))
