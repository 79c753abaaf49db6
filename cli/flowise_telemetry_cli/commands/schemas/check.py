"""``flowise-telemetry schemas check``: whether schemas may be released."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from flowise_telemetry_cli.commands.schemas._git import files_at
from flowise_telemetry_cli.commands.schemas._registry import required_registry
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.options import topic_option, unchecked_schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.own_events import own_problems
from flowise_telemetry_schemas.problem import Problem
from flowise_telemetry_schemas.release import package_release
from flowise_telemetry_schemas.released import read_list, released_problems
from flowise_telemetry_schemas.terms import terms_problems, terms_warnings
from flowise_telemetry_transport.schema_registry.registration import registry_problems

__all__ = ["check"]


@click.command()
@click.argument(
    "named", metavar="[FOLDER]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@unchecked_schemas_option
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    default=lambda: datetime.now(UTC).strftime("%Y-%m-%d"),
    help="Day on which no event may have expired.  [default: the present day, UTC]",
)
@click.option("--against", metavar="GIT_REF", help="Refuse files that changed since this tag or commit too.")
@click.option(
    "--registry", is_flag=True, help="Compare with the registry at FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL too."
)
@topic_option
def check(
    named: Path | None,
    folder: Traversable | None,
    today: datetime,
    against: str | None,
    *,
    registry: bool,
    topic: str,
) -> int:
    """Check that the schemas hold bounded, documented fields only, and that each version reads all older records.

    Each event needs an event.toml: the question that it answers, an owner, a review, and when it expires; one that
    expires within 30 days is warned of. A file that is in released.json never changes.

    With --registry, every schema is to be registered in its subject, and the subject to demand BACKWARD_TRANSITIVE.

    FOLDER holds <event>/v<version>.avsc files; the default is the schemas of this installation, and those of --schemas.
    Events of your own, in a namespace of their own, take no name of a shipped event and end on a day.

    \b
    Example:
      flowise-telemetry schemas check schemas/flowise_telemetry_schemas/avro
    """
    shipped = files("flowise_telemetry_schemas") / "avro"
    places = [named] if named is not None else [shipped] if folder is None else [shipped, folder]
    found: list[Problem] = []
    count = 0
    for place in places:
        checked = Catalog.load(place)
        count += len(list(checked))
        found += _problems(checked, place, today.date(), against)
        if registry:
            with required_registry() as subjects:
                found += registry_problems(subjects, checked, topic)
        for warning in terms_warnings(checked, today=today.date()):
            echo(f"warning: {warning}", err=True)
    for problem in found:
        echo(str(problem))
    echo(f"{count} schemas, {len(found)} problems", err=True)
    return FAILED if found else DONE


def _problems(checked: Catalog, place: Traversable, today: date, against: str | None) -> list[Problem]:
    found = problems(checked) + terms_problems(checked, today=today, release=package_release())
    if any(schema.is_own for schema in checked):
        found += own_problems(checked)
    found += released_problems(checked, read_list(place))
    if against is not None:
        found += released_problems(checked, files_at(against, Path(str(place))), against=against)
    return found
