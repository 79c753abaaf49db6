"""The reference that the code decides, and the way through the pages."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import click
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency
from docs.site.__main__ import PAGES, write
from docs.site.commands import commands_page
from docs.site.metrics import metrics_page
from docs.site.settings import settings_page, variables_of

from flowise_telemetry import environment
from tests.cli.command_tree import commands
from tests.docs.blocks import ROOT, pages

CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_written(tmp_path: Path) -> None:
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(PAGES)
    assert all(file.read_text(encoding="utf-8").startswith("# ") for file in tmp_path.iterdir())


def test_every_command_and_option_is_told_with_its_variable() -> None:
    page = commands_page()
    sections = dict(re.findall(r"^## ([\w ]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for words, command in commands():
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in sections[words]
    assert "`FLOWISE_TELEMETRY_REPLAY_FROM`" in sections["replay"]
    assert "`sqlite:///telemetry.db`" in sections["consume"]


def test_every_variable_is_told() -> None:
    page = settings_page()
    assert [name for name, _ in variables_of(environment) if f"`{name}`" not in page] == []
    assert "`FLOWISE_TELEMETRY_KAFKA_REQUEST_TIMEOUT_MS`" in page


def test_every_metric_is_told_in_its_guide_too() -> None:
    for room, guide in (("consumer", "docs/operations.md"), ("gateway", "docs/gateway.md")):
        names = re.findall(rf"`flowise_telemetry_{room}_(\w+)`", metrics_page())
        assert len(names) > 10
        assert [name for name in names if f"`{name}" not in pages()[guide]] == []


def test_every_page_has_its_place_in_the_navigation() -> None:
    """As ``make docs`` demands, which takes an environment of its own."""
    nav = CONFIG[CONFIG.index("\nnav:") :]
    placed = set(re.findall(r"[\w/-]+\.md$", nav, re.MULTILINE))
    left_out = [line.strip() for line in CONFIG.partition("not_in_nav: |\n")[2].partition("\n\n")[0].splitlines()]
    there = {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}
    lost = [
        page
        for page in sorted(there - placed)
        if not any(fnmatch.fnmatch(page, f"{pattern}*" if pattern.endswith("/") else pattern) for pattern in left_out)
    ]
    assert lost == [], "name it in the nav of mkdocs.yml"
    assert {page for page in placed if not page.startswith(("reference/", "project/"))} - there == set()
    assert yaml.safe_load(nav)["nav"]


def test_every_decision_is_in_the_list() -> None:
    listed = pages()["docs/adr/README.md"]
    files = [page.rpartition("/")[2] for page in pages() if re.fullmatch(r"docs/adr/0.*\.md", page)]
    assert [file for file in files if f"({file})" not in listed] == []
