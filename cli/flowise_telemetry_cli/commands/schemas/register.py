"""``flowise-telemetry schemas register``: the schemas into a registry."""

from __future__ import annotations

import json

import click

from flowise_telemetry_cli.commands.schemas._registry import required_registry
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option, topic_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_transport.schema_registry.registration import register_schemas

__all__ = ["register"]


@click.command()
@topic_option
@schemas_option
@json_option("Print one JSON object a line.")
@pass_invocation
def register(invocation: Invocation, *, topic: str, as_json: bool) -> int:
    """Register every schema, those of --schemas too, in the registry at FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL.

    Subjects are named TOPIC-NAMESPACE.EVENT (TopicRecordNameStrategy), and set to BACKWARD_TRANSITIVE: a
    version that could not read the records of all earlier ones is refused. What is there already stays as it is, so
    that the command can be repeated.

    \b
    Example:
      flowise-telemetry schemas register
    """
    with required_registry() as registry:
        found = list(register_schemas(registry, invocation.catalog, topic))
    if as_json:
        for each in found:
            echo(
                json.dumps(
                    {
                        "event": each.schema.event,
                        "version": f"v{each.schema.version}",
                        "subject": each.subject,
                        "id": each.schema_id,
                        "new": each.is_new,
                        "refusal": each.refusal,
                    }
                )
            )
    else:
        rows = [
            (
                each.schema.event,
                f"v{each.schema.version}",
                "-" if each.schema_id is None else str(each.schema_id),
                "registered" if each.is_new else "refused" if each.refusal else "there already",
                each.subject,
            )
            for each in found
        ]
        echo(table(("event", "version", "id", "state", "subject"), rows))
    refusals = [each.refusal for each in found if each.refusal is not None]
    for refusal in refusals:
        echo(f"error: {refusal}", err=True)
    return FAILED if refusals else DONE
