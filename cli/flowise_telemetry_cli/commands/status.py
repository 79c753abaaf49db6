"""``flowise-telemetry status``: show the switch, what decided it, and where events would go."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from flowise_telemetry.app_version import NOT_A_VERSION
from flowise_telemetry.consent.status import status as telemetry_status
from flowise_telemetry.consent.status import why_no_connection
from flowise_telemetry_cli.commands._choice import env_file_option
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.options import json_option
from flowise_telemetry_cli.output.safe import echo

__all__ = ["status"]


@click.command()
@env_file_option
@click.option("--app-version", metavar="VERSION", help="Version of the app, to see what is sent as it.")
@click.option("--connect", is_flag=True, help="Connect and log in as the app would, and say why not if that fails.")
@json_option("Print one JSON object.")
def status(*, env_file: Path | None, app_version: str | None, connect: bool, as_json: bool) -> int:
    """Show whether telemetry is on here, what decided it, and where events would go. Connects to nothing by default.

    Exit status 1: with --connect, the cluster cannot be used.

    \b
    Example:
      flowise-telemetry status
      flowise-telemetry status --connect
    """
    found = telemetry_status(env_file=env_file, app_version=app_version)
    why_not = why_no_connection(env_file=env_file) if connect else None
    if as_json:
        document = asdict(found) | ({"connection": why_not or "works"} if connect else {})
        echo(json.dumps(document, default=str))
        return FAILED if why_not else DONE
    if found.enabled and app_version is not None and found.app_version is None:
        state = f"on, but nothing is sent: {NOT_A_VERSION}"
    elif found.enabled and not found.active:
        state = (
            "on, but nothing is sent: neither FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS nor FLOWISE_TELEMETRY_ENDPOINT is set"
        )
    else:
        state = "on" if found.enabled else "off"
    lines = [
        ("telemetry", state),
        ("decided by", found.decided_by),
        ("gateway", found.endpoint) if found.endpoint else ("Kafka", found.bootstrap_servers or "none"),
        ("topic", "the gateway's" if found.endpoint else found.topic),
        ("debug", "events are printed to stderr instead of sent" if found.debug else "no"),
        ("instance id", f"{found.instance_id} until the end of the month" if found.instance_id else "none yet"),
        ("local secret", found.secret_file or "none"),
        (".env file", found.env_file if found.env_file.is_file() else f"{found.env_file}, which is not there"),
        ("spool", f"{found.spool_dir}, {found.spooled_events} events waiting" if found.spool_dir else "none"),
        ("ledger", found.ledger or "none"),
    ]
    if found.passed_over:
        lines.append(("passed over", f"{', '.join(found.passed_over)}: {found.env_file} was found, not named"))
    if app_version is not None:
        lines.append(("app version", found.app_version or "none"))
    if connect:
        lines.append(("connection", why_not or "works"))
    for name, value in lines:
        echo(f"{name + ':':<14}{value}")
    return FAILED if why_not else DONE
