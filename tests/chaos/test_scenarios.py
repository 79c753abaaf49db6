"""The scenarios as a list: found by name, and named by an alert that there is."""

from __future__ import annotations

import re
from pathlib import Path

import tests.chaos.scenarios  # noqa: F401 # registers them
from tests.chaos.scenario import SCENARIOS

ALERTS = (Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))


def test_a_scenario_names_an_alert_that_there_is() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS))
    assert {scenario.alert for scenario in SCENARIOS if scenario.alert is not None} <= alerts


def test_the_short_form_has_something_of_each_kind() -> None:
    short = {scenario.run.__module__.rpartition(".")[2] for scenario in SCENARIOS if scenario.smoke}
    assert {"processes", "brokers", "databases"} <= short
