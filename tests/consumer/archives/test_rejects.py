"""The file of rejects: one of a time, never anyone else's, and exact where a kill cut it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowise_telemetry_consumer import SinkError
from flowise_telemetry_consumer.archives.rejects import Reject, RejectsFile
from flowise_telemetry_schemas import ConfigurationError


def reject(line: int, source: str = "a.jsonl") -> Reject:
    return Reject(
        source=source, line=line, event="tool_created", field="toolName", rule="pattern", message="must match"
    )


def lines(path: Path) -> list[tuple[str, int]]:
    return [(document["source"], document["line"]) for document in map(json.loads, path.read_text().splitlines())]


def test_nothing_is_made_before_the_first(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rejects = RejectsFile(path)
    rejects.begin()
    rejects.keep([])
    assert not path.exists()
    rejects.keep([reject(1), reject(2)])
    assert lines(path) == [("a.jsonl", 1), ("a.jsonl", 2)]
    assert json.loads(path.read_text().splitlines()[0]) == {
        "source": "a.jsonl",
        "line": 1,
        "event": "tool_created",
        "field": "toolName",
        "rule": "pattern",
        "message": "must match",
        "more": 0,
    }
    rejects.close()


def test_a_new_run_removes_those_of_the_last_and_a_resumed_one_keeps_what_it_does_not_read_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    first = RejectsFile(path)
    first.keep([reject(1), reject(5), reject(7, "b.jsonl"), reject(9)])
    first.close()
    with path.open("ab") as file:
        file.write(b'{"source": "a.jsonl", "li')
    resumed = RejectsFile(path)
    resumed.begin({"a.jsonl": 6})
    assert (resumed.count, lines(path)) == (2, [("a.jsonl", 1), ("a.jsonl", 5)])
    resumed.keep([reject(9)])
    assert (resumed.count, len(lines(path))) == (3, 3)
    resumed.close()
    RejectsFile(path).begin()
    assert not path.exists()


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("To be or not to be\n")
    with pytest.raises(ConfigurationError, match="is no file of rejects: name another") as raised:
        RejectsFile(path).begin()
    assert (raised.value.argument, path.read_text()) == ("rejects", "To be or not to be\n")
    with pytest.raises(SinkError, match=r"make the folder .* first"):
        RejectsFile(tmp_path / "none" / "r.jsonl").keep([reject(1)])
