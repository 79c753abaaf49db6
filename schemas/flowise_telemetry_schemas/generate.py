"""Generate the files that are derived from the ``.avsc`` files and kept in git: ``make generate``.

That is ``events.py`` (one frozen class per event), ``docs/TELEMETRY.md`` (the disclosure document),
``docs/events`` (a page an event) and ``avro/released.json`` (the files of each release, which never change after it).
With ``--check`` nothing is written, and the exit status is 1 if a file differs from what would be written.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from flowise_telemetry_schemas.catalog import catalog
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.class_text import event_classes
from flowise_telemetry_schemas.disclosure import disclosure
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_document import event_document
from flowise_telemetry_schemas.event_page import event_page
from flowise_telemetry_schemas.release import package_release
from flowise_telemetry_schemas.released import RELEASED_FILE, list_text, parse_list, read_list, released_problems

__all__ = ["event_classes", "main"]


def main(arguments: list[str] | None = None) -> int:
    """Write the derived files of this checkout, or with ``--check`` compare them. Return the exit status."""
    check_only = "--check" in (sys.argv[1:] if arguments is None else arguments)
    package = Path(__file__).parent
    schemas = catalog()
    release = package_release()
    known = read_list(package / "avro")
    frozen = {name: line for name, line in known.items() if line.release != release}
    broken = [str(problem) for problem in (*problems(schemas), *released_problems(schemas, frozen))]
    if broken:
        sys.stderr.write("\n".join(broken) + "\n")
        return 1
    docs = package.parent.parent / "docs"
    listed = list_text(schemas, known, release=release)
    derived = {
        package / "events.py": event_classes(schemas, release=release),
        package / "avro" / RELEASED_FILE: listed,
        docs / "TELEMETRY.md": disclosure(schemas),
    }
    released = parse_list(listed)
    for event in schemas.names:
        with contextlib.suppress(SchemaError):  # without terms; the check tells
            page = event_page(event_document(schemas, event, released))
            derived[docs / "events" / f"{event}.md"] = page
    status = 0
    for path, text in derived.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        status = 1 if check_only else 0
        if check_only:
            sys.stderr.write(f"{path.name} differs from the schemas: run make generate\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
