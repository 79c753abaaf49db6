from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flowise_telemetry_schemas import Catalog, SchemaError, catalog
from flowise_telemetry_schemas.released import RELEASED_FILE, Released, list_text, read_list, released_problems

AVSC = Path(__file__).parents[2] / "schemas" / "flowise_telemetry_schemas" / "avro"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(AVSC, tmp_path / "avro")
    return tmp_path / "avro"


def test_every_file_is_on_the_list_and_none_has_changed() -> None:
    known = read_list(AVSC)
    assert set(known) == {f"{schema.event}/v{schema.version}.avsc" for schema in catalog()}
    assert released_problems(catalog(), known) == []
    assert {line.fingerprint for line in known.values()} == {schema.fingerprint_hex for schema in catalog()}


@pytest.mark.parametrize("change", [("A custom tool", "Any tool"), ('"maxLength": 36', '"maxLength": 37')])
def test_a_changed_file_is_refused_be_it_in_words_alone(folder: Path, change: tuple[str, str]) -> None:
    file = folder / "tool_created" / "v1.avsc"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    (problem,) = released_problems(Catalog.load(folder), read_list(folder))
    assert str(problem).startswith("tool_created/v1.avsc: changed since release ")


def test_a_file_that_is_gone_is_refused(folder: Path) -> None:
    (folder / "assistant_created" / "v2.avsc").unlink()
    (problem,) = released_problems(Catalog.load(folder), read_list(folder))
    assert str(problem).startswith("assistant_created/v2.avsc: is in release ")


def test_a_checkout_with_other_newlines_is_the_same(folder: Path) -> None:
    for file in folder.glob("*/*.avsc"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert released_problems(Catalog.load(folder), read_list(folder)) == []


def test_lines_of_earlier_releases_stay_and_those_of_the_next_are_renewed(folder: Path) -> None:
    known = read_list(folder) | {"gone/v1.avsc": Released("0.0.9", "f", "s")}
    del known["tool_created/v1.avsc"]
    known["prediction_sent/v1.avsc"] = Released("9.9.9", "old", "old")
    renewed = json.loads(list_text(Catalog.load(folder), known, release="9.9.9"))
    assert renewed["tool_created/v1.avsc"]["release"] == "9.9.9"
    assert renewed["prediction_sent/v1.avsc"]["fingerprint"] == catalog().get("prediction_sent", 1).fingerprint_hex
    assert renewed["gone/v1.avsc"] == {"release": "0.0.9", "fingerprint": "f", "sha256": "s"}
    assert renewed["vector_upserted/v1.avsc"]["release"] == known["vector_upserted/v1.avsc"].release


def test_a_list_that_is_none_is_named(folder: Path) -> None:
    (folder / RELEASED_FILE).write_text('{"tool_created/v1.avsc": {"release": "0.1.0"}}')
    with pytest.raises(SchemaError, match=r"released\.json is not a list of released files"):
        read_list(folder)
    (folder / RELEASED_FILE).unlink()
    assert read_list(folder) == {}
