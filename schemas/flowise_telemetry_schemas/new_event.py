"""The first version of an event: a file with the envelope that every event begins with."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from flowise_telemetry_schemas.catalog import catalog
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, STREAM_STATE, VERSION_FIELD
from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["checkout_folder", "first_version", "write_first_version"]

_EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")
_MAX_NAME_CHARACTERS = 40


def first_version(event: str, *, doc: str | None = None) -> dict[str, Any]:
    """Return the JSON of ``v1.avsc`` of an event without fields of its own.

    ``doc`` says when it happens. Raises ``ConfigurationError`` for a name that is not in snake_case.
    """
    if not _EVENT.fullmatch(event) or len(event) > _MAX_NAME_CHARACTERS:
        raise ConfigurationError(
            f"an event's name is snake_case, of at most {_MAX_NAME_CHARACTERS} characters, such as flow_shared",
            argument="event",
        )
    shared = {*ENVELOPE_FIELDS, VERSION_FIELD}
    envelope = [field for field in catalog().latest(STREAM_STATE).source["fields"] if field["name"] in shared]
    return {
        "type": "record",
        "name": event.title().replace("_", ""),
        "namespace": "flowise.telemetry",
        "doc": doc or f"{event.replace('_', ' ').capitalize()}.",
        "fields": copy.deepcopy(envelope),
    }


def write_first_version(event: str, folder: Path, *, doc: str | None = None) -> Path:
    """Write ``<event>/v1.avsc`` in a folder of events and return its path.

    Raises ``ConfigurationError`` as ``first_version`` does, and if the event is there already.
    """
    source = first_version(event, doc=doc)
    file = folder / event / "v1.avsc"
    try:
        file.parent.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"{file.parent} is there already: its next version is a file beside", argument="event"
        ) from None
    file.write_text(json.dumps(source, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def checkout_folder() -> Path:
    """Return the folder of the shipped events in a checkout. Raises ``ConfigurationError`` in an installed package."""
    package = Path(__file__).parent
    if not (package.parent.parent / "pyproject.toml").is_file():
        raise ConfigurationError(
            "the schemas of an installed package are not to be changed: name a folder", argument="folder"
        )
    return package / "avro"
