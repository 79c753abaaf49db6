"""What the page of supported versions says is what is tried: workflow, images, locks and bounds name the same."""

from __future__ import annotations

import re
import tomllib

from tests.docs.blocks import ROOT, pages
from tests.services.kafka import IMAGE

PAGE = pages()["docs/supported.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_pythons_are_those_of_the_package() -> None:
    of_package = [name for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    versions = {name.rpartition(" ")[2] for name in of_package}
    section = PAGE.partition("## Python and systems")[2].partition("\n## ")[0]
    assert set(re.findall(r"\b3\.1\d\b", section)) == versions


def test_kafka_is_the_one_of_the_tests() -> None:
    version = IMAGE.partition(":")[2]
    assert f"| Apache Kafka {version.rpartition('.')[0]} (KRaft) | tried" in PAGE


def test_clients_are_those_that_are_installed() -> None:
    (other,) = re.findall(r"kafka-python==([\d.]+)", MAKEFILE)
    assert f"| kafka-python {other} | tried" in PAGE
    locked = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    (default,) = re.findall(r"^kafka-python-ng==([\d.]+)", locked, re.MULTILINE)
    assert f"| kafka-python-ng {default} | tried" in PAGE
    (oldest,) = re.findall(r"confluent-kafka>=([\d.]+),", str(PROJECT["optional-dependencies"]["librdkafka"]))
    assert f"confluent-kafka (librdkafka) {oldest} and later" in PAGE


def test_polars_is_the_range_that_is_allowed() -> None:
    (oldest,) = re.findall(r"polars>=([\d.]+),", str(PROJECT["optional-dependencies"]["consumer"]))
    assert f"polars from {oldest} on" in PAGE


def test_what_is_tried_in_ci_is_run_there() -> None:
    targets = re.findall(r"`make ([a-z0-9-]+)`, in CI", PAGE)
    assert {"test", "test-gateway", "test-languages"} <= set(targets)
    assert not [target for target in targets if not re.search(rf"run: make {target}(?: #.*)?$", WORKFLOW, re.MULTILINE)]
