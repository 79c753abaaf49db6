"""``flowise-telemetry schemas generate``: typed classes of events of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_schemas.class_text import own_event_classes
from flowise_telemetry_schemas.disclosure import own_disclosure
from flowise_telemetry_schemas.own_events import folder_of, read_own_events
from flowise_telemetry_schemas.released import RELEASED_FILE, list_text

__all__ = ["generate"]


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@schemas_option
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Module to write, such as events.py."
)
@click.option(
    "--disclosure", type=click.Path(dir_okay=False, path_type=Path), help="Also write the disclosure document there."
)
@click.option(
    "--release",
    metavar="VERSION",
    help=f"Also list the files as released with this version of your app, in {RELEASED_FILE}: they never change again.",
)
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit status 1 if something would change.")
@pass_invocation
def generate(
    invocation: Invocation,
    *,
    folder: Path | None,
    out: Path,
    disclosure: Path | None,
    release: str | None,
    check_only: bool,
) -> int:
    """Write a module with a typed class for each event of FOLDER, or of --schemas, for your app to send.

    It imports flowise_telemetry and nothing else. The folder is checked before, as schemas check does.

    \b
    Example:
      flowise-telemetry schemas generate telemetry --out my_app/telemetry_events.py
    """
    try:
        own = invocation.own_events if folder is None else read_own_events(folder)
    except ConfigurationError as error:
        raise click.UsageError(error.message) from error
    if own is None:
        raise click.UsageError("name the FOLDER of your events, or --schemas")
    texts = {out: own_event_classes(own.schemas)}
    if disclosure is not None:
        texts[disclosure] = own_disclosure(own.schemas)
    if release is not None:
        place = folder or folder_of(own.place)
        if not isinstance(place, Path):
            raise click.UsageError(f"--release writes a file beside the events: name their folder, not {own.place}")
        texts[place / RELEASED_FILE] = list_text(own.schemas, own.released, release=release)
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check_only:
            path.write_text(texts[path], encoding="utf-8")
        echo(f"{os.fspath(path)} {'differs from the schemas' if check_only else 'written'}", err=True)
    return FAILED if check_only and stale else DONE
