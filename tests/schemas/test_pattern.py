from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from flowise_telemetry_schemas import SchemaError, catalog
from flowise_telemetry_schemas.field import flatten
from flowise_telemetry_schemas.pattern import Pattern, text_beyond

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
OURS = sorted({
    pattern
    for schema in catalog()
    for top in schema.fields
    for _, field in flatten(top)
    for pattern in (field.pattern, field.items.pattern if field.items else None)
    if pattern
})  # fmt: skip

sets = st.sampled_from(["a", "b", "[ab]", "[a-c]", "[A-C0-1_-]", "[a-]", "\\.", "-", "_"])
repeats = st.sampled_from(["", "", "?", "{2}", "{0,2}", "{1,3}", "{0}"])
parts = st.recursive(
    st.builds(str.__add__, sets, repeats),
    lambda inner: (
        st.builds(
            lambda branches, repeat: f"({'|'.join(branches)}){repeat}", st.lists(inner, min_size=1, max_size=3), repeats
        )
        | st.builds(str.__add__, inner, inner)
    ),
    max_leaves=5,
)
patterns = parts.map(lambda inside: f"^{inside}$")
texts = st.text(alphabet="abcABC01_-.\nk", max_size=6)


def parsed(pattern: str) -> Pattern:
    """The automaton; a pattern whose parts may be empty in too many ways is refused, and not what is looked at here."""
    try:
        return Pattern(pattern)
    except SchemaError as error:
        if "may be empty" not in str(error):
            raise
        reject()


@given(patterns, st.lists(texts, min_size=1, max_size=8))
def test_a_pattern_takes_what_the_engines_take(pattern: str, given: list[str]) -> None:
    automaton = parsed(pattern)
    ours = [automaton.takes(text) for text in given]
    assert ours == [re.compile(pattern).fullmatch(text) is not None for text in given]
    assert ours == pl.Series(given).str.contains(pattern).to_list()


@given(patterns, patterns, st.integers(0, 6))
def test_a_text_beyond_is_one_that_only_the_older_pattern_takes(old: str, new: str, max_length: int) -> None:
    beyond = text_beyond(parsed(old), parsed(new), max_length)
    if beyond is not None:
        assert len(beyond) <= max_length
        assert re.fullmatch(old, beyond)
        assert not re.fullmatch(new, beyond)


@given(patterns, patterns, texts)
def test_no_text_beyond_means_that_there_is_none(old: str, new: str, text: str) -> None:
    if re.fullmatch(old, text) and not re.fullmatch(new, text):
        assert text_beyond(parsed(old), parsed(new), len(text)) is not None


@pytest.mark.parametrize("pattern", OURS)
def test_our_own_patterns_are_of_the_language(pattern: str) -> None:
    Pattern(pattern).check_ways()
    assert text_beyond(Pattern(pattern), Pattern(pattern), 128) is None


@pytest.mark.parametrize(
    ("old", "new", "beyond"),
    [
        ("^[a-z]{1,9}$", "^[a-z]{1,8}$", "a" * 9),
        ("^[a-z]{1,9}$", "^[a-z0-9]{1,9}$", None),
        ("^[a-z]{0,9}$", "^[a-z]{1,9}$", ""),
        ("^(ab|c)$", "^(c|a[ab])$", None),
        ("^[a-z]{1,4}(_[a-z]{1,4}){0,3}$", "^[a-z]{1,4}(_[a-z]{1,4}){0,2}$", "a_a_a_a"),
        (UUID, UUID.replace("-[0-9a-f]{4}-", "-4[0-9a-f]{3}-", 1), "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"),
    ],
)
def test_the_shortest_text_beyond_is_told(old: str, new: str, beyond: str | None) -> None:
    assert text_beyond(Pattern(old), Pattern(new), 64) == beyond


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[a-z]{1,9}", r"must begin with \^"),
        ("^.*$", "has . at character 2"),
        ("^a*$", r"has \* at character 3"),
        ("^\\w$", "has . at character 2"),
        ("^[^a]$", r"has \^ at character 3"),
        ("^INTERNAL|EXTERNAL$", r"has \| at character 10"),
        ("^(?i)a$", r"has \? at character 3"),
        ("^[a--b]$", "has - at character 5|has a range"),
        ("^[0--z]$", "has - at character 5|has a range"),
        ("^[z-a]$", "a range z-a"),
        ("^[]$", "an empty set"),
        ("^a{3,1}$", "goes downwards"),
        ("^a{1,2}{3}$", "has { at character 8"),
        ("^a??$", r"has \? at character 4"),
        ("^(a$", r"has \$ at character 4"),
        ("^a$b$", r"has \$ at character 3"),
        ("^([a-z]{1,200}){1,200}$", "has more than 10,000 characters"),
    ],
)
def test_what_engines_read_otherwise_or_not_at_all_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["^([a-z]{1,40}){1,40}$", "^([a-z]{0,2}){0,40}$", "^(a?){30}b$"])
def test_a_pattern_that_may_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match=r"more than 1,000 ways|may be empty"):
        Pattern(pattern).check_ways()
