"""``flowise-telemetry status|enable|disable``: whether telemetry is on, who decided that, and the switch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from flowise_telemetry.app_version import NOT_A_VERSION
from flowise_telemetry.consent.status import status as telemetry_status
from flowise_telemetry.consent.stored_choice import store_choice

__all__ = ["disable", "enable", "status"]

env_file_option = click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The .env file that the app reads.  [default: .env in this folder]",
)


@click.command()
@env_file_option
@click.option("--app-version", metavar="VERSION", help="Version of the app, to see what is sent as it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(*, env_file: Path | None, app_version: str | None, as_json: bool) -> None:
    """Show whether telemetry is on here, what decided it, and where events would go. Connects to nothing.

    \b
    Example:
      flowise-telemetry status
    """
    found = telemetry_status(env_file=env_file, app_version=app_version)
    if as_json:
        click.echo(json.dumps(asdict(found), default=str))
        return
    if found.enabled and app_version is not None and found.app_version is None:
        state = f"on, but nothing is sent: {NOT_A_VERSION}"
    elif found.enabled and not found.active:
        state = "on, but nothing is sent: FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS is not set"
    else:
        state = "on" if found.enabled else "off"
    lines = [
        ("telemetry", state),
        ("decided by", found.decided_by),
        ("Kafka", found.bootstrap_servers or "none"),
        ("topic", found.topic),
        ("debug", "events are printed to stderr instead of sent" if found.debug else "no"),
        ("instance id", f"{found.instance_id} until the end of the month" if found.instance_id else "none yet"),
        ("local secret", found.secret_file or "none"),
        (".env file", found.env_file),
        ("spool", f"{found.spool_dir}, {found.spooled_events} events waiting" if found.spool_dir else "none"),
        ("ledger", found.ledger or "none"),
    ]
    if app_version is not None:
        lines.append(("app version", found.app_version or "none"))
    for name, value in lines:
        click.echo(f"{name + ':':<14}{value}")


@click.command()
@env_file_option
def enable(*, env_file: Path | None) -> None:
    """Keep the choice that telemetry may be sent for this user. An opt-out in the environment still wins.

    \b
    Example:
      flowise-telemetry enable
    """
    _store(True, env_file)


@click.command()
@env_file_option
def disable(*, env_file: Path | None) -> None:
    """Turn telemetry off for this user, for good. Deletes the local secret and the events that wait in the spool.

    \b
    Example:
      flowise-telemetry disable
    """
    _store(False, env_file)


def _store(enabled: bool, env_file: Path | None) -> None:
    try:
        stored = store_choice(enabled, environ=os.environ, env_file=env_file)
    except OSError as error:
        raise click.ClickException(f"the choice cannot be kept: {error.filename}: {error.strerror}") from error
    click.echo(f"telemetry is {'on' if enabled else 'off'} for this user ({stored.path})")
    for path in stored.deleted:
        click.echo(f"deleted {path}")
    now = telemetry_status(env_file=env_file)
    if now.enabled != enabled:
        click.echo(f"here it is {'on' if now.enabled else 'off'} all the same: {now.decided_by}", err=True)
