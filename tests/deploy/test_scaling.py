"""The page on scaling says what its script says."""

from __future__ import annotations

import runpy
from itertools import pairwise

import pytest

from tests.deploy.manifests import ROOT

SCRIPT = ROOT / "docs" / "examples" / "scaling.py"
PAGE = (ROOT / "docs" / "scaling.md").read_text("utf-8")


def test_the_table_is_that_of_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(SCRIPT))["main"]([])
    assert f"$ python docs/examples/scaling.py\n{capsys.readouterr().out}```" in PAGE


def test_measured_costs_are_those_of_the_page() -> None:
    costs = runpy.run_path(str(SCRIPT))
    assert f"| {costs['RECORD_BYTES']} bytes |" in PAGE
    assert f"| {costs['CONSUMER_EVENTS_PER_SECOND']:,} events a second, " in PAGE
    assert f"| {costs['GATEWAY_REQUESTS_PER_SECOND']:,} requests of one event " in PAGE
    assert f"| {costs['SINK_BYTES']['PostgreSQL']} bytes; {costs['SINK_BYTES']['Delta']} |" in PAGE
    assert f" to {costs['POSTGRESQL_CPU_US']:.0f} µs of CPU an event |" in PAGE


def test_more_of_anything_needs_no_less(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(SCRIPT))
    sizes = [script["size_of"](10**power, script["Assumptions"]()) for power in range(9)]
    for fewer, more in pairwise(sizes):
        for need in ("consumers", "partitions", "gateways", "brokers", "topic_bytes"):
            assert getattr(fewer, need) <= getattr(more, need)
    script["main"](["20000", "--events-per-day", "3000", "--peak", "3", "--retention-days", "14"])
    assert capsys.readouterr().out.startswith("| installations | 20,000 |\n")
