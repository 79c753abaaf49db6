"""``flowise-telemetry preview``: show an event exactly as it is sent."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import click

from flowise_telemetry.consent.env_file import read_env_file
from flowise_telemetry.encoding.preview import Preview, preview_state
from flowise_telemetry.encoding.preview import preview as preview_event
from flowise_telemetry.settings import ProducerSettings
from flowise_telemetry_cli.commands.demo.app import APP_VERSION, example_events
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option, topic_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.example_event import example_of

__all__ = ["preview"]

_HEX_WIDTH_BYTES = 32


@click.command()
@click.argument("event", required=False)
@topic_option
@schemas_option
@json_option("Print one JSON object an event.")
@pass_invocation
def preview(invocation: Invocation, *, event: str | None, topic: str, as_json: bool) -> None:
    """Show the exact record and bytes of an EVENT, or of one of each kind, and why each field is collected.

    The last kind, stream_state, is no event of the app: in it the producer tells how many events were dropped.

    The values are invented. Record and bytes come from the encoder that an app uses, with the settings of the
    environment and of .env. Nothing is sent.

    \b
    Example:
      flowise-telemetry preview prediction_sent
    """
    if event is not None:
        invocation.catalog.latest(event)  # rejects an unknown event and lists the known ones
    environ = _environ()
    previews = [
        preview_event(example, app_version=APP_VERSION, topic=topic, environ=environ)
        for example in example_events(5)
        if event in (None, example.EVENT)
    ]
    if (own := invocation.own_events) is not None:
        previews += [
            preview_event(
                example_of(own.schemas.latest(name)), app_version=APP_VERSION, topic=topic, environ=environ, own=own
            )
            for name in own.schemas.events
            if event in (None, name)
        ]
    previews.sort(key=lambda one: one.event)
    if event in (None, STREAM_STATE):
        previews.append(preview_state(app_version=APP_VERSION, topic=topic, environ=environ))
    for number, shown in enumerate(previews):
        if as_json:
            echo(json.dumps(_document(shown)))
        else:
            echo(("\n" if number else "") + _text(shown))


def _environ() -> Mapping[str, str]:
    """Return the settings that a ``Telemetry`` made here would have."""
    file = read_env_file(None)
    return ProducerSettings.read(os.environ, file.values, named=file.named, passed_over=file.passed_over).environ


def _document(shown: Preview) -> dict[str, object]:
    return {
        "event": shown.event,
        "topic": shown.topic,
        "schema": {"version": shown.schema_version, "fingerprint": shown.schema_fingerprint},
        "record": shown.record,
        "key": shown.key.decode("ascii"),
        "value": shown.value.hex(),
        "purposes": {field.path: field.purpose for field in shown.fields},
    }


def _text(shown: Preview) -> str:
    rows = [(field.path, field.classification, field.purpose) for field in shown.fields]
    pairs = shown.value.hex(" ")
    width = 3 * _HEX_WIDTH_BYTES
    lines = [
        f"{shown.event} v{shown.schema_version} ({shown.schema_fingerprint}) to {shown.topic}",
        f"key: {shown.key.decode('ascii')}",
        f"record: {json.dumps(shown.record, indent=2)}",
        f"value, {len(shown.value)} bytes:",
        *(f"  {pairs[start : start + width].rstrip()}" for start in range(0, len(pairs), width)),
        table(("field", "kind", "why it is collected"), rows),
    ]
    return "\n".join(lines)
