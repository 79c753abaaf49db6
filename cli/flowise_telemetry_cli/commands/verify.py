"""``flowise-telemetry verify``: whether schemas are those that were released."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

import click

from flowise_telemetry_cli.errors import DONE, FAILED, PROGRAM
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.own_events import OwnEvents
from flowise_telemetry_schemas.released import read_list, sha256_of

__all__ = ["verify"]

_PACKAGE = "flowise_telemetry_schemas/avro/"


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@schemas_option
@json_option("Print one JSON object a line.")
@pass_invocation
def verify(invocation: Invocation, *, folder: Path | None, as_json: bool) -> int:
    """Show for each schema its fingerprint, the release that it came with, and whether it still is that file.

    FOLDER holds <event>/v<version>.avsc files to be compared with the installed ones; the default is the installed
    schemas themselves, which are compared with the record of the wheel that they came in. Exit status 1 if any differs.
    Events of --schemas follow; they are compared with the released.json beside them, if there is one.

    \b
    Example:
      flowise-telemetry verify
    """
    installed = files("flowise_telemetry_schemas") / "avro"
    place = installed if folder is None else folder
    schemas, known = Catalog.load(place), read_list(installed)
    wheel = _of_the_wheel()
    rows = []
    differs = False
    for schema in schemas:
        name = f"{schema.event}/v{schema.version}.avsc"
        text = schemas.text_beside(schema.event, f"v{schema.version}.avsc") or ""
        line = known.get(name)
        as_released = "not on the list" if line is None else _yes(line.sha256 == sha256_of(text))
        in_wheel = "not a wheel" if wheel is None else _yes(wheel.get(name) == _digest(text))
        differs |= as_released != "yes" or in_wheel == "no"
        rows.append((name, schema.fingerprint_hex, line.release if line else "", as_released, in_wheel))
    for name in sorted(known.keys() - {row[0] for row in rows}):
        differs = True
        rows.append((name, known[name].fingerprint, known[name].release, "gone", ""))
    rows += _own_rows(invocation.own_events) if folder is None and invocation.own_events is not None else []
    if as_json:
        keys = ("file", "fingerprint", "release", "as_released", "as_in_wheel")
        for row in rows:
            echo(json.dumps(dict(zip(keys, row, strict=True))))
    else:
        echo(table(("file", "fingerprint", "released in", "as released", "as in the wheel"), rows))
    return FAILED if differs else DONE


def _own_rows(own: OwnEvents) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of an app's own events; a file that differs from its list was refused before."""
    rows = []
    for schema in own.schemas:
        name = f"{schema.event}/v{schema.version}.avsc"
        line = own.released.get(name)
        rows.append((name, schema.fingerprint_hex, line.release if line else "", "yes" if line else "no list", "own"))
    return rows


def _yes(same: bool) -> str:
    return "yes" if same else "no"


def _of_the_wheel() -> Mapping[str, str] | None:
    """Return the digests that the wheel's RECORD has of its schema files; None for an editable install."""
    try:
        recorded = distribution(PROGRAM).files or ()
    except PackageNotFoundError:
        return None
    found = {
        file.as_posix().removeprefix(_PACKAGE): file.hash.value
        for file in recorded
        if file.as_posix().startswith(_PACKAGE) and file.suffix == ".avsc" and file.hash is not None
    }
    return found or None


def _digest(text: str) -> str:
    """Return the digest of a file as a RECORD has it (the binary distribution format, "RECORD")."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
