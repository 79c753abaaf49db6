"""The corpus against every text field, by every way in: what fits is written down, and may only become less.

``python -m tests.corpus.test_corpus`` prints what is measured now, for ``counts.json``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from tests.corpus.plants import PLACES, WAYS, fitting
from tests.corpus.texts import corpus

COUNTS = Path(__file__).with_name("counts.json")
CATEGORY_OF = {text: category for category, texts in corpus().items() for text in texts}
UUIDS = {"uuid", "pinecone key"}
WORDS = {
    "name, joined",
    "name in camel case",
    "password of words",
    "password of words, joined",
    "prompt in snake case",
    "prompt in camel case",
}


pytestmark = pytest.mark.xdist_group("corpus")  # each way is measured once


@cache
def measured(way: str) -> tuple[dict[str, int], dict[str, set[str]]]:
    """How many texts fit into each field into which any does, and of which categories."""
    with tempfile.TemporaryDirectory() as folder:
        found = {place: texts for place, texts in fitting(way, CATEGORY_OF, Path(folder)).items() if texts}
    counts = {place: len(texts) for place, texts in found.items()}
    counts["any field"] = len({text for texts in found.values() for text in texts})
    return counts, {place: {CATEGORY_OF[text] for text in texts} for place, texts in found.items()}


def test_it_has_at_least_four_hundred_texts() -> None:
    assert len(CATEGORY_OF) >= 400


def test_every_text_field_of_every_schema_is_tried() -> None:
    tried = {place.field for place in PLACES}
    envelope = {place.field for place in PLACES if place.is_made_by_the_producer}
    for schema in catalog():
        for field in schema.fields:
            if field.kind in ("string", "uuid"):
                assert field.name in tried, f"{schema.event}.{field.name}"
    assert {"eventId", "instanceId", "streamId"} <= envelope
    assert {"flowGraph.nodes", "flowGraph.edges.source", "flowGraph.edges.target"} <= tried


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_fits_only_becomes_less(way: str) -> None:
    written: Mapping[str, int] = json.loads(COUNTS.read_text(encoding="utf-8"))[way]
    counts, _ = measured(way)
    more = {place: (written.get(place, 0), count) for place, count in counts.items() if count > written.get(place, 0)}
    assert not more, f"more fits than before: {more}"
    assert counts == written, "less fits than is written down: write the lower counts into counts.json"


@pytest.mark.parametrize("way", ["call", "send"])
def test_of_what_an_app_sends_what_fits_is_uuids_words_and_short_numbers(way: str) -> None:
    _, categories = measured(way)
    assert categories == {
        "prediction_sent.version": {"date with points"},
        "prediction_sent.chatflowId": UUIDS,
        "prediction_sent.chatId": UUIDS,
        "tool_created.toolId": UUIDS,
        "tool_created.toolName": WORDS,
        "assistant_created.assistantId": UUIDS,
    }


def test_with_ids_hashed_and_names_off_a_date_is_all_that_fits() -> None:
    _, categories = measured("call, ids hashed and tool names off")
    assert categories == {"prediction_sent.version": {"date with points"}}


if __name__ == "__main__":
    print(json.dumps({way: measured(way)[0] for way in WAYS}, indent=2))  # noqa: T201 - its purpose
