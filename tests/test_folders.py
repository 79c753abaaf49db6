"""The tests lie as the source does: who knows the folder of one knows the folder of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    "cli": "cli/flowise_telemetry_cli",
    "consumer": "consumer/flowise_telemetry_consumer",
    "report": "report/flowise_telemetry_report",
    "gateway": "gateway/flowise_telemetry_gateway",
    "producer": "producer/flowise_telemetry",
    "schemas": "schemas/flowise_telemetry_schemas",
    "transport": "transport/flowise_telemetry_transport",
}
ACROSS = {
    "apps",
    "chaos",
    "corpus",
    "deploy",
    "docs",
    "flows",
    "formats",
    "java",
    "languages",
    "posthog",
    "registry",
    "security",
    "services",
    "typing",
}
"""Folders of no single room: real apps, clients and registries, what the documentation says, what fits into events,
how it is deployed, a path through all rooms, old files."""


def folders(below: Path) -> set[Path]:
    """Every folder with files of ours, relative to ``below``."""
    return {file.parent.relative_to(below) for file in below.rglob("*.py") if file.parent != below}


def test_rooms_have_a_folder_of_tests_each() -> None:
    found = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert found - ACROSS == set(SOURCES)


@pytest.mark.parametrize("room", SOURCES)
def test_folders_of_tests_are_folders_of_the_source(room: str) -> None:
    assert folders(ROOT / "tests" / room) <= folders(ROOT / SOURCES[room])
