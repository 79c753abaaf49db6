"""The data files of a table: by their path, and by the times at which the ids in them were made."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from flowise_telemetry_consumer.sinks.delta.data_file import DataFile

__all__ = ["MINUTE_DIGITS", "Files", "minutes_of"]

MINUTE_DIGITS = 8
"""The digits of an id that change every 65 seconds: the ids that share them are looked up and remembered together."""

_DIGITS = 12
_SPAN_MINUTES_BITS = 6
_SPAN_BITS = 4 * (_DIGITS - MINUTE_DIGITS) + _SPAN_MINUTES_BITS
_MAX_SPANS = 48


class Files(Mapping[str, DataFile]):
    """Files by path.

    Most hold ids of an hour or a day. These are also listed by spans of 64 minutes, so that those that may hold an id
    are found without a look at all the others; files of longer times, or without statistics, are listed apart.
    """

    def __init__(self, files: Iterable[DataFile] = ()) -> None:
        self._files: dict[str, DataFile] = {}
        self._by_span: dict[int, dict[str, DataFile]] = {}
        self._long: dict[str, DataFile] = {}
        for file in files:
            self.add(file)

    def __getitem__(self, path: str) -> DataFile:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def add(self, file: DataFile) -> None:
        """Add a file, or replace the one of its path."""
        self.discard(file.path)
        self._files[file.path] = file
        for listed in self._lists(file):
            listed[file.path] = file

    def discard(self, path: str) -> None:
        """Remove a file, where there is one of that path."""
        file = self._files.pop(path, None)
        for listed in self._lists(file) if file is not None else ():
            del listed[path]

    def with_ids_of(self, minutes: Sequence[str]) -> list[DataFile]:
        """Return the files that may hold ids of these minutes, which are sorted."""
        if not minutes:
            return []
        found = dict(self._long)
        for span in {int(minute, 16) >> _SPAN_MINUTES_BITS for minute in minutes}:
            found |= self._by_span.get(span, {})
        return [file for file in found.values() if minutes_of(file, minutes)]

    def _lists(self, file: DataFile) -> Iterator[dict[str, DataFile]]:
        first, last = _span(file.first), _span(file.last)
        if last - first >= _MAX_SPANS:
            yield self._long
            return
        for span in range(first, last + 1):
            yield self._by_span.setdefault(span, {})


def minutes_of(file: DataFile, minutes: Sequence[str]) -> range:
    """Return the places of those of these sorted minutes of which a file may hold ids."""
    first, last = file.first[:MINUTE_DIGITS], file.last[:MINUTE_DIGITS]
    return range(bisect_left(minutes, first), bisect_right(minutes, last))


def _span(made_at: str) -> int:
    return int(made_at, 16) >> _SPAN_BITS
