"""The units of systemd: each option and variable is one of the command's, each bound leaves the process its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from flowise_telemetry_consumer.monitoring.health import MAX_POLL_AGE_SECONDS
from tests.deploy.command_line import check_command_line
from tests.deploy.manifests import ROOT

FOLDER = ROOT / "deploy" / "systemd"
SERVICES = ("consumer", "gateway")
_START = "/opt/flowise-telemetry/bin/flowise-telemetry "


def assignments(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, text = line.partition("=")
            yield name, text


def of_unit(service: str, name: str) -> list[str]:
    file = FOLDER / f"flowise-telemetry-{service}.service"
    return [text for each, text in assignments(file) if each == name]


def variables(service: str) -> dict[str, str]:
    drop_in = [text for name, text in assignments(FOLDER / "credentials.conf") if name == "Environment"]
    given = of_unit(service, "Environment") + (drop_in if service == "consumer" else [])
    return dict(assignments(FOLDER / f"{service}.env")) | dict(text.split("=", 1) for text in given)


@pytest.mark.parametrize("service", SERVICES)
def test_the_command_takes_options_and_variables(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (start,) = of_unit(service, "ExecStart")
    assert start.startswith(_START)
    given = {name: text for name, text in variables(service).items() if name != "PYTHONUNBUFFERED"}
    check_command_line(start.removeprefix(_START).split(), given, monkeypatch)
    assert of_unit(service, "EnvironmentFile") == [f"/etc/flowise-telemetry/{service}.env"]


def test_credentials_are_loaded_where_they_are_named() -> None:
    for file in (FOLDER / "flowise-telemetry-gateway.service", FOLDER / "credentials.conf"):
        loaded = {text.partition(":")[0] for name, text in assignments(file) if name == "LoadCredential"}
        assert loaded == set(re.findall(r"=%d/([\w-]+)$", file.read_text("utf-8"), re.MULTILINE))
    for service in SERVICES:
        assert not [name for name in variables(service) if name.endswith(("PASSWORD", "SECRET", "KEYS"))]


@pytest.mark.parametrize("service", SERVICES)
def test_bounds_leave_the_process_its_own(service: str) -> None:
    command = {"consumer": "consume"}.get(service, service)
    (stop,) = of_unit(service, "TimeoutStopSec")
    assert int(stop) >= import_module(f"flowise_telemetry_cli.commands.{command}")._STOP_SECONDS + 5
    (start,) = of_unit(service, "TimeoutStartSec")
    assert int(start) >= MAX_POLL_AGE_SECONDS
    (watchdog,) = of_unit(service, "WatchdogSec")
    assert int(stop) <= int(watchdog), "a stop that takes its time is none that hangs"
    assert (of_unit(service, "Type"), of_unit(service, "Restart")) == (["notify"], ["always"])


@pytest.mark.parametrize("service", SERVICES)
def test_files_are_written_to_the_folder_that_systemd_makes(service: str) -> None:
    (folder,) = of_unit(service, "StateDirectory")
    assert of_unit(service, "WorkingDirectory") == [f"/var/lib/{folder}"]
    for name, text in variables(service).items():
        assert not text.startswith("/") or Path(text).is_relative_to(f"/var/lib/{folder}"), name
    assert of_unit(service, "ProtectSystem") == ["strict"]
    assert of_unit(service, "DynamicUser") == ["yes"]
