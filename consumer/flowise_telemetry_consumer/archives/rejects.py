"""Rejects: lines and rows of an archive that are no valid event, set aside in a file of JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.local_files import os_failure, why_not_opened
from flowise_telemetry_schemas import ConfigurationError, Violation

__all__ = ["OnRejects", "ReadFrom", "Reject", "RejectsFile"]

_LINE_START = b'{"source": '
"""The start of every line that this module writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One line of a file or one row of a table, and the first rule that it breaks; ``more`` counts the others.

    ``source`` is the file or the address of the sink, ``line`` counts the file's lines and ``row`` the rows of one
    event as they were read, both from 1. ``event`` is None where no known event is named. Nothing here is ever the
    value of a field, or a name that no schema has.
    """

    source: str
    rule: str
    message: str
    field: str = ""
    event: str | None = None
    line: int | None = None
    row: int | None = None
    more: int = 0

    @classmethod
    def of_violations(
        cls,
        source: str,
        found: Sequence[Violation],
        *,
        event: str | None = None,
        line: int | None = None,
        row: int | None = None,
    ) -> Self:
        """Return the reject of a record that breaks at least one rule."""
        first = found[0]
        return cls(
            source=source,
            line=line,
            row=row,
            event=event,
            field=first.field,
            rule=first.rule,
            message=first.message,
            more=len(found) - 1,
        )

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line is not None else f"row {self.row}"
        what = f"{self.event}.{self.field}" if self.event and self.field else self.event or self.field
        return f"{where}: {what}: {self.message}" if what else f"{where}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return the reject as ``json`` can write it."""
        place = {"line": self.line} if self.line is not None else {"row": self.row}
        found = {"event": self.event, "field": self.field, "rule": self.rule, "message": self.message}
        return {"source": self.source, **place, **found, "more": self.more}


ReadFrom = Mapping[str | tuple[str, str], int]
"""The first line of each file, or the first row of each table and event, that is read, counted from 1."""

OnRejects = Callable[[Sequence[Reject]], None]
"""Called with what a portion sets aside, before the portion's good events are written."""


class RejectsFile:
    """A file of rejects, one JSON object a line, made with the first of them.

    ``begin`` removes the file of an earlier run. What was kept is on the disk when ``keep`` returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None

    def begin(self, keep_before: ReadFrom | None = None) -> None:
        """Start anew, or with those of an earlier run on lines before those that are read now, by source.

        Of tables, on rows before those that are read now, by source and event.

        Raises ``ConfigurationError`` if the file is another program's.
        """
        with self._translate_errors():
            kept = list(self._earlier(keep_before or {}))
            self.count = len(kept)
            if not kept:
                self.path.unlink(missing_ok=True)
                return
            anew = self.path.with_name(f"{self.path.name}.tmp")  # a kill leaves the old one or the new one
            anew.write_bytes(b"".join(kept))
            anew.replace(self.path)

    def keep(self, rejects: Sequence[Reject]) -> None:
        """Append rejects. Raises ``SinkError`` if the file cannot be written."""
        if rejects:
            with self._translate_errors():
                self._append(json.dumps(reject.to_json()).encode() + b"\n" for reject in rejects)

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, lines: Iterable[bytes]) -> None:
        if self._file is None:
            self._file = self.path.open("ab")
        for line in lines:
            self._file.write(line)
            self.count += 1
        self._file.flush()
        os.fsync(self._file.fileno())

    def _earlier(self, before: ReadFrom) -> Iterator[bytes]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.startswith(_LINE_START):
                    if number == 0:
                        raise ConfigurationError(f"{self.path} is no file of rejects: name another", argument="rejects")
                    continue
                with contextlib.suppress(ValueError):  # the last line, where a kill cut it
                    document = json.loads(line)
                    is_row = "row" in document
                    place = (document["source"], document["event"]) if is_row else document["source"]
                    if (document["row" if is_row else "line"] or 0) < before.get(place, 0):
                        yield line

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SinkError(
                f"the file of rejects cannot be opened: {why_not_opened(self.path)}", argument="rejects"
            ) from error
        except PermissionError as error:
            raise SinkError(
                f"the file of rejects {self.path} may not be written by this user: name another", argument="rejects"
            ) from error
        except OSError as error:
            raise os_failure(error, str(self.path)) from error
