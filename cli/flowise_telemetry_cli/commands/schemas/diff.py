"""``flowise-telemetry schemas diff``: what a version changes, in words."""

from __future__ import annotations

import json
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.options import json_option, unchecked_schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_schemas import Catalog, EventSchema, SchemaError, catalog
from flowise_telemetry_schemas.evolution import Change, changes

__all__ = ["diff"]

CONSUMERS_FIRST = """\
Upgrade consumers first, apps after them. A consumer of v{new} reads records of v{old} as well. One of v{old} files
records of v{new} as dead letters (unknown_fingerprint); redrive them once it is upgraded."""


@click.command()
@click.argument("event")
@click.argument("versions", nargs=-1)
@unchecked_schemas_option
@json_option("Print one JSON object.")
def diff(event: str, versions: tuple[str, ...], folder: Traversable | None, as_json: bool) -> int:
    """Tell what changed between two versions of an EVENT, and who is upgraded first.

    VERSIONS are two versions, such as v1 v2; the default is the latest and the one before it. Two files may be given
    in place of an event and its versions. Exit status 1: the newer version may not be released after the older one.

    \b
    Example:
      flowise-telemetry schemas diff assistant_created v1 v2
      flowise-telemetry schemas diff old/v1.avsc new/v2.avsc
    """
    old, new = _files(event, versions) if event.endswith(".avsc") else _versions(event, versions, folder)
    found = changes(old, new)
    same = old.fingerprint == new.fingerprint
    if same:
        words = "the bytes on the wire are the same, so that nobody could tell the versions apart"
        found.append(Change("", f"both have the fingerprint {old.fingerprint_hex}", words))
    breaks = any(change.breaks for change in found)
    if as_json:
        echo(json.dumps(_document(old, new, found, breaks=breaks), ensure_ascii=False))
    else:
        _print(old, new, found, breaks=breaks)
    return FAILED if breaks else DONE


def _print(old: EventSchema, new: EventSchema, found: list[Change], *, breaks: bool) -> None:
    echo(f"{new.event} v{old.version} -> v{new.version}")
    for change in found:
        echo(f"  {change}" + (f". Not allowed: {change.breaks}" if change.breaks else ""))
    echo("")
    if breaks:
        echo(f"v{new.version} may not be released after v{old.version}.")
    else:
        echo(CONSUMERS_FIRST.format(old=old.version, new=new.version))


def _document(old: EventSchema, new: EventSchema, found: list[Change], *, breaks: bool) -> dict[str, object]:
    listed = [{"path": change.path, "change": change.message, "breaks": change.breaks} for change in found]
    first = None if breaks else "consumers"
    return {"event": new.event, "old": old.version, "new": new.version, "changes": listed, "upgrade_first": first}


def _versions(event: str, given: tuple[str, ...], folder: Traversable | None) -> tuple[EventSchema, EventSchema]:
    own = None if folder is None else Catalog.load(folder)
    schemas = catalog() if own is None or (event not in own.names and event in catalog().names) else own
    latest = schemas.latest(event).version
    if latest == 1:
        raise SchemaError(f"{event} has one version, so there is nothing to compare", event=event)
    numbers = [_number(version) for version in given] or [latest - 1, latest]
    if len(numbers) == 1:
        numbers = sorted([numbers[0], latest])
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise click.UsageError(f"give an older and a newer version of {event}, of which the latest is v{latest}")
    return schemas.get(event, numbers[0]), schemas.get(event, numbers[1])


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    if not (digits.isascii() and digits.isdigit()):
        raise click.UsageError("a version is a number, such as v2")
    return int(digits)


def _files(old: str, rest: tuple[str, ...]) -> tuple[EventSchema, EventSchema]:
    if len(rest) != 1:
        raise click.UsageError("give two schema files, the older one first")
    first, second = _file(old, 1), _file(rest[0], 2)
    return first, second


def _file(name: str, version: int) -> EventSchema:
    path = Path(name)
    number = path.stem.removeprefix("v")
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SchemaError(f"{path}: not JSON: {error}") from error
    named = int(number) if number.isascii() and number.isdigit() else version
    return EventSchema.read(path.parent.name or str(path), named, source)
