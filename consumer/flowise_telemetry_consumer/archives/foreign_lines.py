"""Lines of JSON in another system's form, one event a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowise_telemetry_consumer.archives.json_lines import (
    LineFaultError,
    Parsed,
    json_of,
    record_or_reject,
    schema_of,
    text_of,
)
from flowise_telemetry_consumer.archives.rejects import Reject
from flowise_telemetry_consumer.archives.text_file import Block
from flowise_telemetry_schemas import EventSchema

__all__ = ["ForeignLines", "Translate"]

Translate = Callable[[Any], tuple[str, Mapping[str, Any]] | None]
"""Return the event and the fields of a line, the envelope too; None for one that is left out by intent.

Raises ``LineFaultError`` for a line that holds no event of that system, or a bad one.
"""


class ForeignLines:
    """Checks what ``translate`` makes of each line of a file, as it checks lines of our own."""

    def __init__(self, source: str, schemas: Mapping[str, EventSchema], translate: Translate) -> None:
        self._source = source
        self._schemas = schemas
        self._translate = translate
        self.has_left_out = False
        """True once a line was left out by intent: it is a file of that system."""

    def read(self, block: Block) -> Iterator[Parsed | Reject]:
        """Yield the records and rejects of a block's lines. Raises nothing for their content."""
        for index, line in enumerate(block.lines):
            if not line or line.isspace():
                continue
            found = self._parsed(line, block.first + index, is_cut=block.is_cut and index == len(block.lines) - 1)
            if found is None:
                self.has_left_out = True
            else:
                yield found

    def _parsed(self, line: bytes, number: int, *, is_cut: bool) -> Parsed | Reject | None:
        try:
            translated = self._translate(json_of(text_of(line), is_cut=is_cut))
            if translated is None:
                return None
            event, properties = translated
            schema = schema_of(event, self._schemas)
        except LineFaultError as fault:
            return fault.reject(self._source, number)
        return record_or_reject(schema, properties, self._source, number, make_ids=False)
