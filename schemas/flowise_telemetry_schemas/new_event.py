"""The first version of an event: a file with the envelope that every event begins with."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from flowise_telemetry_schemas.catalog import MAX_NAME_CHARACTERS, Catalog, catalog, is_event_name
from flowise_telemetry_schemas.envelope import ENVELOPE_FIELDS, VERSION_FIELD
from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_schemas.event_schema import NAMESPACE
from flowise_telemetry_schemas.release import checkout
from flowise_telemetry_schemas.terms import TERMS_FILE

__all__ = ["checkout_folder", "first_version", "write_first_version"]

_TERMS = """\
# What is decided with the event, who answers for it, where it was discussed (an issue, a page), and when it ends: a
# release, such as "1.0.0", or a day within two years, such as 2027-06-30. Without an answer it is not collected.
question = ""
owner = ""
review = ""
expires = ""
"""


def first_version(event: str, *, namespace: str = NAMESPACE, doc: str | None = None) -> dict[str, Any]:
    """Return the JSON of ``v1.avsc`` of an event without fields of its own.

    ``doc`` says when it happens. Raises ``ConfigurationError`` for a name that is not in snake_case.
    """
    if not is_event_name(event):
        raise ConfigurationError(
            f"an event's name is snake_case, of at most {MAX_NAME_CHARACTERS} characters, such as flow_shared",
            argument="event",
        )
    shared = {*ENVELOPE_FIELDS, VERSION_FIELD}
    shipped = catalog().latest(catalog().events[0])
    envelope = [field for field in shipped.source["fields"] if field["name"] in shared]
    return {
        "type": "record",
        "name": event.title().replace("_", ""),
        "namespace": namespace,
        "doc": doc or f"{event.replace('_', ' ').capitalize()}.",
        "fields": copy.deepcopy(envelope),
    }


def write_first_version(event: str, folder: Path, *, namespace: str | None = None, doc: str | None = None) -> Path:
    """Write ``<event>/v1.avsc`` in a folder of events and return its path; beside it, ``event.toml`` to be filled in.

    Without a ``namespace`` it is that of the events which are there, else the shipped one. Raises
    ``ConfigurationError`` as ``first_version`` does, and if the event is there already, ``SchemaError`` for a folder
    whose schemas cannot be read.
    """
    there = {schema.namespace for schema in Catalog.load(folder)} if namespace is None else set()
    source = first_version(event, namespace=namespace or min(there, default=NAMESPACE), doc=doc)
    file = folder / event / "v1.avsc"
    try:
        file.parent.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"{file.parent} is there already: its next version is a file beside", argument="event"
        ) from None
    file.write_text(json.dumps(source, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (file.parent / TERMS_FILE).write_text(_TERMS, encoding="utf-8")
    return file


def checkout_folder() -> Path:
    """Return the folder of the shipped events in a checkout. Raises ``ConfigurationError`` in an installed package."""
    if checkout() is None:
        raise ConfigurationError(
            "the schemas of an installed package are not to be changed: name a folder", argument="folder"
        )
    return Path(__file__).parent / "avro"
