from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import flowise_telemetry

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_distributions() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert flowise_telemetry.__version__ == declared


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Sender'"):
        flowise_telemetry.Sender  # type: ignore[attr-defined]  # noqa: B018 - it is the access that raises
