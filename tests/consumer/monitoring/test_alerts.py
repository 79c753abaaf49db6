"""The alert rules for Prometheus: of metrics that there are, each tried by promtool's own tests, each in the guide."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from flowise_telemetry_consumer import ConsumerCounters
from flowise_telemetry_consumer.clock import SystemClock
from flowise_telemetry_consumer.monitoring.metrics import PREFIX, registry_of

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
TESTS = RULES.with_name("alerts_test.yml")
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def exposed() -> set[str]:
    names = set()
    for family in registry_of(ConsumerCounters(), SystemClock()).collect():
        names |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
        names |= {sample.name for sample in family.samples}
    return names


def test_alerts_ask_for_metrics_that_there_are() -> None:
    there = exposed()
    for rule in rules():
        asked = set(re.findall(rf"{PREFIX}\w+", rule["expr"]))
        assert asked, rule["alert"]
        assert asked <= there, rule["alert"]


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        assert re.fullmatch(r"Telemetry[A-Z]\w+", rule["alert"])
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_alert_is_tried_and_in_the_guide() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    trials = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    fires = {rule["alertname"] for trial in trials for rule in trial.get("alert_rule_test", ()) if rule["exp_alerts"]}
    assert fires == set(names)
    assert set(re.findall(r"^\| `(Telemetry\w+)`", GUIDE, re.MULTILINE)) == set(names)


def test_promtool_loads_and_tries_them() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"], "no promtool here: loaded as YAML"
        return
    for arguments in (["check", "rules", RULES.name], ["test", "rules", TESTS.name]):
        done = subprocess.run([promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
