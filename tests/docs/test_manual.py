"""The manual page says what the commands say."""

from __future__ import annotations

import re

import pytest
from docs.site.commands import contexts
from docs.site.manual import FILE, main, manual


def test_it_is_that_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert FILE.read_text(encoding="utf-8") == manual(), "run make generate"
    assert (main(["--check"]), capsys.readouterr().err) == (0, "")


def test_it_names_every_option() -> None:
    page = manual().replace("\\-", "-")
    options = {name for context in contexts() for option in context.command.params for name in option.opts}
    assert [name for name in sorted(options) if name.startswith("--") and name not in page] == []


def test_no_text_is_taken_for_a_request() -> None:
    requests = {"TH", "nh", "SH", "SS", "PP", "TP", "B", "br", "nf", "fi"}
    lines = manual().splitlines()
    assert {line[1:].split(" ")[0] for line in lines if line.startswith(".")} <= requests
    assert [line for line in lines if line.startswith("'")] == []
    assert [line for line in lines if re.search(r"\\(?![-e&]|f[BR])", line)] == []
