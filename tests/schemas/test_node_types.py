"""The vocabulary of node types, and what apps add to it."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_schemas.node_types import is_node_type, node_types, own_node_types

PATTERN = next(
    re.compile(str(field.pattern)) for field in catalog().latest("vector_upserted").fields if field.name == "stopNodeId"
)


def test_every_type_fits_the_schemas_and_none_is_there_twice() -> None:
    text = files("flowise_telemetry_schemas").joinpath("vocabulary/node_types.txt").read_text(encoding="utf-8")
    names = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(names) == len(set(names)) == len(node_types())
    assert {"chatOpenAI", "csvAgent", "azureChatOpenAI_LlamaIndex"} <= node_types()
    assert all(map(is_node_type, names))
    assert all(PATTERN.fullmatch(f"{name}_0") for name in names)


@pytest.mark.parametrize(
    "name", ["ourStore", "our_store", "chatGPT4o", "a", "S3", "x" * 24, "a b", "sk-x", "", "A1b2c3"]
)
def test_what_is_a_type_is_what_the_schemas_take(name: str) -> None:
    assert is_node_type(name) is bool(PATTERN.fullmatch(f"{name}_0"))


def test_other_is_no_type_of_anyone() -> None:
    assert PATTERN.fullmatch("other_0")
    assert not is_node_type("other")


def test_an_app_gives_its_own_one_by_one_or_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "types.txt"
    file.write_text("# ours\nourStore\n\nour_model  # new\n", encoding="utf-8")
    assert own_node_types(file) == own_node_types(str(file)) == own_node_types(["ourStore", "our_model"])
    with pytest.raises(ConfigurationError, match="the name at place 2 is no node type") as caught:
        own_node_types(["ourStore", "my secret"])
    assert caught.value.argument == "node_types"
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        own_node_types(tmp_path / "none")
