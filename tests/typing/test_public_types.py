"""The public API under mypy and pyright, as those who use it run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.typing.checkers import CHECKERS, Errors
from tests.typing.snippets import ACCEPTED, REFUSED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("public types"),  # on one worker, so that each checker runs once
]

ALLOWED = "\n".join(ACCEPTED.values())
FIRST_REFUSED_LINE = ALLOWED.count("\n") + 2


@pytest.fixture(scope="module", params=CHECKERS)
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """Errors about one file with all snippets: starting a checker and loading the imports takes nearly all the time."""
    file: Path = tmp_path_factory.mktemp(request.param) / "uses.py"
    file.write_text("\n".join([ALLOWED, *REFUSED.values()]) + "\n")
    return CHECKERS[request.param](file)


def test_uses_are_accepted(errors: Errors) -> None:
    lines = ALLOWED.splitlines()
    assert {lines[line - 1]: error for line, error in errors.items() if line < FIRST_REFUSED_LINE} == {}


@pytest.mark.parametrize("misuse", REFUSED)
def test_misuses_are_refused(misuse: str, errors: Errors) -> None:
    assert FIRST_REFUSED_LINE + list(REFUSED).index(misuse) in errors
