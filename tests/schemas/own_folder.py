"""A folder of an app's own events, made for a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowise_telemetry_schemas.new_event import write_first_version

__all__ = ["COUNT", "FIELDS", "KIND", "NAMESPACE", "POINT", "TERMS", "Source", "add", "write"]

Source = dict[str, Any]
NAMESPACE = "com.example.app"
TERMS = 'question = "q"\nowner = "o"\nreview = "r"\nexpires = 2027-06-30\n'
KIND = {"type": "enum", "name": "Kind", "doc": "d", "symbols": ["ONE", "OTHER"], "default": "OTHER"}
COUNT = {"type": "int", "minimum": 0, "maximum": 9}
POINT = {
    "type": "record", "name": "Point", "doc": "d",
    "fields": [{"name": name, "type": COUNT, "doc": "d", "purpose": "p", "classification": "count"} for name in "xy"],
}  # fmt: skip
FIELDS: dict[str, Any] = {
    "kind": KIND,
    "isNew": "boolean",
    "points": {"type": "array", "maxItems": 3, "items": POINT},
    "label": ["null", {"type": "string", "pattern": "^[a-z]{2,4}$", "maxLength": 4}],
}


def add(source: Source, name: str, kind: Any, **keys: Any) -> None:
    source["fields"].append(
        {"name": name, "type": kind, "doc": "d", "purpose": "p", "classification": "structure", **keys}
    )


def write(folder: Path, event: str = "thing_made", change: Callable[[Source], object] | None = None) -> Path:
    """An event in the folder, with one field of each kind unless it is changed otherwise."""
    file = write_first_version(event, folder, namespace=NAMESPACE)
    source = json.loads(file.read_text())
    if change is None:
        for name, kind in FIELDS.items():
            add(source, name, kind)
    else:
        change(source)
    file.write_text(json.dumps(source))
    (file.parent / "event.toml").write_text(TERMS)
    return file
