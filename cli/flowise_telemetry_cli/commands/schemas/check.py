"""``flowise-telemetry schemas check``: whether schemas may be released."""

from __future__ import annotations

from pathlib import Path

import click

from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog, catalog
from flowise_telemetry_schemas.check import problems

__all__ = ["check"]


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def check(folder: Path | None) -> int:
    """Check that the schemas hold bounded, documented fields only, and that each version reads all older records.

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
