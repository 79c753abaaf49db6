"""docker-compose.yml: what each service may use is bounded, and the command takes what it is given."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency

from tests.deploy.command_line import check_command_line
from tests.deploy.manifests import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("topics", "consumer")


@pytest.mark.parametrize("name", SERVICES)
def test_memory_and_logs_have_a_bound_and_processes_an_init(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert service.get("init") is True or name in OURS, "our image has one"


def test_our_image_has_an_init() -> None:
    """As the first process, Python would drop a SIGTERM of its first moments, and reap no child."""
    lines = (ROOT / "deploy" / "docker" / "Dockerfile").read_text("utf-8").splitlines()
    (entry,) = (line for line in lines if line.startswith("ENTRYPOINT"))
    assert json.loads(entry.removeprefix("ENTRYPOINT"))[:2] == ["tini", "--"]
    assert any("apt-get install" in line and " tini " in line for line in lines)


@pytest.mark.parametrize("name", OURS)
def test_the_command_takes_options_and_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_command_line(SERVICES[name]["command"], SERVICES[name]["environment"], monkeypatch)


def test_ports_are_open_on_this_host_alone() -> None:
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ()))


def test_monitoring_is_asked_for() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"prometheus", "grafana"}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_files_that_are_mounted_are_there(name: str) -> None:
    sources = [mount.partition(":")[0] for mount in SERVICES[name]["volumes"]]
    assert all((ROOT / source).is_dir() for source in sources if source.startswith("./"))
    assert {source for source in sources if not source.startswith("./")} <= COMPOSE["volumes"].keys()


def test_prometheus_scrapes_the_consumer_and_grafana_asks_prometheus() -> None:
    folder = ROOT / "deploy"
    config = yaml.safe_load((folder / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert [(folder / "prometheus" / name).is_file() for name in config["rule_files"]] == [True]
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    (port,) = (port.rpartition(":")[2] for port in SERVICES["consumer"]["ports"])
    assert (found["names"], str(found["port"])) == (["consumer"], port)
    sources = yaml.safe_load((folder / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    providers = yaml.safe_load((folder / "grafana/provisioning/dashboards/files.yaml").read_text("utf-8"))
    (provider,) = providers["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
