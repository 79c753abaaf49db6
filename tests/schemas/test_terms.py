from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from flowise_telemetry_schemas import Catalog, SchemaError, catalog
from flowise_telemetry_schemas.generate import event_classes
from flowise_telemetry_schemas.release import package_release
from flowise_telemetry_schemas.terms import EventTerms, read_terms, terms_of, terms_problems, terms_warnings

TODAY = date(2027, 3, 1)
RELEASE = "0.2.0"
GOOD = 'question = "Which?"\nowner = "o"\nreview = "r"\nexpires = "1.0.0"\n'


def expiring(folder: Path, expires: str) -> Catalog:
    (folder / "tool_created").mkdir()
    (folder / "tool_created" / "v1.avsc").write_text(json.dumps(dict(catalog().get("tool_created", 1).source)))
    (folder / "tool_created" / "event.toml").write_text(GOOD.replace('"1.0.0"', expires))
    return Catalog.load(folder)


def test_every_event_says_why_it_is_collected_and_until_when() -> None:
    for event in catalog().names:
        terms = terms_of(catalog(), event)
        assert terms.question.endswith("?")
        assert (Path(__file__).parents[2] / terms.review).is_file()
        assert terms.retired_from_ms(package_release()) is None
    assert terms_problems(catalog(), today=TODAY, release=package_release()) == []


@pytest.mark.parametrize(
    ("expires", "problem", "warning"),
    [
        ('"1.0.0"', None, None),
        ('"0.2.1"', None, None),
        ('"0.2.0"', "expired with release 0.2.0", None),
        ('"0.1.9"', "expired with release 0.1.9", None),
        ("2027-03-01", "expired on 2027-03-01", None),
        ('"2027-02-01"', "expired on 2027-02-01", None),
        ("2027-03-31", None, "tool_created expires in 30 days, on 2027-03-31"),
        ("2027-04-01", None, None),
        ("2029-03-01", None, None),
        ("2029-03-03", "more than two years from now", None),
    ],
)
def test_an_event_that_expires_is_told(tmp_path: Path, expires: str, problem: str | None, warning: str | None) -> None:
    schemas = expiring(tmp_path, expires)
    problems = [problem.message for problem in terms_problems(schemas, today=TODAY, release=RELEASE)]
    assert len(problems) == (problem is not None)
    assert not problem or problem in problems[0]
    assert terms_warnings(schemas, today=TODAY) == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("question", "qestion"), "unknown key qestion"),
        (GOOD.replace('"Which?"', '" "'), "question is missing"),
        (GOOD.replace('owner = "o"\n', ""), "owner is missing"),
        (GOOD.replace("1.0.0", "soon"), "expires must be a release, such as 1.0.0, or a day"),
        (GOOD.replace('"1.0.0"', "1.0"), "expires must be a release"),
        ("question", "not TOML"),
    ],
)
def test_terms_that_are_none_are_named(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=f"tool_created/event.toml: {message}"):
        read_terms(text, event="tool_created")


def test_an_event_without_terms_is_a_problem(tmp_path: Path) -> None:
    schemas = expiring(tmp_path, '"1.0.0"')
    (tmp_path / "tool_created" / "event.toml").unlink()
    (problem,) = terms_problems(schemas, today=TODAY, release=RELEASE)
    assert str(problem) == "tool_created: event.toml is missing: it says why the event is collected"


def test_the_classes_know_what_is_retired(tmp_path: Path) -> None:
    schemas = expiring(tmp_path, '"0.2.0"')
    assert "RETIRED_FROM_MS: dict[str, int] = {}" in event_classes(schemas, release="0.1.9")
    assert '    "tool_created": 0,\n' in event_classes(schemas, release="0.2.0")
    assert EventTerms("q", "o", "r", date(1970, 1, 2)).retired_from_ms("0.0.0") == 86_400_000
