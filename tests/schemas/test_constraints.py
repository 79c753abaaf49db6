from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry_schemas import ValidationError, catalog, validate, violations
from tests.schemas.records import EVENTS, record_of

PREDICTION = record_of(EVENTS[2])
SCHEMA = catalog().latest("prediction_sent")


def broken(**changes: Any) -> list[tuple[str, str]]:
    return [(found.field, found.rule) for found in violations(SCHEMA, PREDICTION | changes)]


def graph(nodes: object = (), edges: object = ()) -> dict[str, object]:
    return {
        "flowGraph": {
            "nodes": list(nodes) if isinstance(nodes, tuple) else nodes,
            "edges": list(edges) if isinstance(edges, tuple) else edges,
        }
    }


def test_what_the_producer_makes_keeps_every_rule() -> None:
    for event in EVENTS:
        assert violations(catalog().latest(event.EVENT), record_of(event)) == []


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"sequence": True}, "sequence", "type"),
        ({"sequence": "1"}, "sequence", "type"),
        ({"sequence": 1.0}, "sequence", "type"),
        ({"sequence": -1}, "sequence", "minimum"),
        ({"occurredAt": 2**62}, "occurredAt", "maximum"),
        ({"version": 3}, "version", "type"),
        ({"version": "3.0.1\n"}, "version", "pattern"),
        ({"version": "3." + "0" * 60}, "version", "maxLength"),
        ({"chatId": "jane.doe@example.com"}, "chatId", "pattern"),
        ({"chatId": "\ud800"}, "chatId", "pattern"),
        ({"chatId": None}, "chatId", "type"),
        ({"type": "SOMETHING"}, "type", "enum"),
        ({"type": 0}, "type", "enum"),
        ({"prompt": "hello"}, "(a name of no field)", "unknown"),
        ({"flowGraph": []}, "flowGraph", "type"),
        (graph(nodes="chatOpenAI_0"), "flowGraph.nodes", "type"),
        (graph(nodes=("chatOpenAI_0", "hello world")), "flowGraph.nodes[1]", "pattern"),
        (graph(nodes=("chatOpenAI_0",) * 1001), "flowGraph.nodes", "maxItems"),
        (graph(edges=({"source": "a_0"},)), "flowGraph.edges[0].target", "required"),
        (graph(edges=({"source": "a_0", "target": 1},)), "flowGraph.edges[0].target", "type"),
    ],
)
def test_a_broken_rule_is_named_with_its_path(changes: dict[str, Any], field: str, rule: str) -> None:
    assert broken(**changes) == [(field, rule)]


def test_a_missing_field_is_named() -> None:
    record = {key: value for key, value in PREDICTION.items() if key != "chatId"}
    assert [str(found) for found in violations(SCHEMA, record)] == ["chatId: is missing"]


def test_the_path_reaches_the_fourth_edge() -> None:
    edges: tuple[dict[str, str], ...] = ({"source": "a_0", "target": "b_0"},) * 3 + ({"source": "!", "target": "b_0"},)
    assert broken(**graph(edges=edges)) == [("flowGraph.edges[3].source", "pattern")]


def test_a_field_with_a_default_may_be_left_out() -> None:
    record = record_of(EVENTS[4])
    del record["stopNodeId"]
    validate(catalog().latest("vector_upserted"), record)


@pytest.mark.parametrize("record", [None, [], "text", 1])
def test_what_is_no_record_is_refused(record: object) -> None:
    with pytest.raises(ValidationError, match="must be a record"):
        validate(SCHEMA, record)


def test_the_error_names_the_first_rule_and_counts_the_rest() -> None:
    with pytest.raises(ValidationError) as caught:
        validate(SCHEMA, PREDICTION | {"chatId": 1, "sequence": -1, "type": "x"})
    error = caught.value
    assert (error.event, error.field, error.rule) == ("prediction_sent", "sequence", "minimum")
    assert str(error) == "sequence: must be at least 0 (and 2 more)"


SECRET = "Zq9_secret_value_7"
ODD = st.one_of(
    st.just(SECRET),
    st.text().map(lambda suffix: SECRET + suffix),
    st.lists(st.just(SECRET)),
    st.dictionaries(st.just(SECRET + " "), st.just(SECRET)),
)


@given(name=st.sampled_from([*PREDICTION, "extra"]), value=ODD)
def test_no_message_ever_contains_a_value(name: str, value: object) -> None:
    for found in violations(SCHEMA, PREDICTION | {name: value}):
        assert "secret" not in str(found)


@given(name=st.one_of(st.text(max_size=40), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,63}", fullmatch=True)))
def test_the_name_of_an_unknown_field_is_never_shown(name: str) -> None:
    # It may be the key of a service that someone used as a key of JSON.
    name = f"hunter2{name}"
    (found,) = violations(SCHEMA, PREDICTION | {name: 1})
    assert (found.field, found.rule) == ("(a name of no field)", "unknown")
    assert name not in str(found)


def test_a_field_that_is_spelled_otherwise_is_told() -> None:
    (found,) = violations(SCHEMA, PREDICTION | {"flow_graph": 1})
    assert str(found) == "(a name of no field): is not a field of the schema: did you mean flowGraph?"
    many = violations(SCHEMA, PREDICTION | {f"flowGraph{number}": 1 for number in range(50)})
    assert sum("did you mean" in str(found) for found in many) == 3
