"""The list of released schema files, ``released.json``: a file that is on it never changes.

Files of the release that is being prepared may change until it is out; ``make generate`` renews their lines, and no
others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.problem import Problem

__all__ = ["RELEASED_FILE", "Released", "list_text", "parse_list", "read_list", "released_problems", "sha256_of"]

RELEASED_FILE = "released.json"


@dataclass(frozen=True, slots=True)
class Released:
    """One file of the list. ``fingerprint`` is that of its bytes on the wire, ``sha256`` that of the whole file."""

    release: str
    fingerprint: str
    sha256: str


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a file's text with newlines as git keeps them, in hexadecimal."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def read_list(folder: Traversable | Path) -> dict[str, Released]:
    """Return the list by ``<event>/v<version>.avsc``; empty where a folder of events has none.

    Raises ``SchemaError`` for a list that is none.
    """
    file = folder / RELEASED_FILE
    try:
        return parse_list(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except UnicodeDecodeError as error:
        raise SchemaError(f"{RELEASED_FILE} is not UTF-8 text") from error


def parse_list(text: str) -> dict[str, Released]:
    """Return the list in the text of its file. Raises ``SchemaError`` for one that is none."""
    try:
        return {name: Released(**line) for name, line in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{RELEASED_FILE} is not a list of released files: {error}") from error


def list_text(schemas: Catalog, known: Mapping[str, Released], *, release: str) -> str:
    """Return the text of the list for a catalog: lines of earlier releases as they are, all others of ``release``."""
    lines: dict[str, Released] = {}
    for schema in schemas:
        name = f"{schema.event}/v{schema.version}.avsc"
        line = known.get(name)
        if line is None or line.release == release:
            text = schemas.text_beside(schema.event, f"v{schema.version}.avsc") or ""
            line = Released(release, schema.fingerprint_hex, sha256_of(text))
        lines[name] = line
    gone = {name: line for name, line in known.items() if name not in lines and line.release != release}
    return json.dumps({name: asdict(line) for name, line in sorted((lines | gone).items())}, indent=2) + "\n"


def released_problems(schemas: Catalog, known: Mapping[str, Released], *, against: str = "") -> list[Problem]:
    """Return the released files that changed, or are gone; ``against`` says what the list is of."""
    return list(_problems(schemas, known, against))


def _problems(schemas: Catalog, known: Mapping[str, Released], against: str) -> Iterator[Problem]:
    for name, line in known.items():
        event, _, file = name.partition("/")
        text = schemas.text_beside(event, file)
        out = against or f"release {line.release}"
        if text is None:
            yield Problem(name, f"is in {out} and gone: records of it could not be read")
        elif sha256_of(text) != line.sha256:
            yield Problem(name, f"changed since {out}: a released file never changes; write the next version")
