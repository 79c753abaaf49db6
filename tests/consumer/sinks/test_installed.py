"""Sinks of other packages: the example is installed and used; what is wrong with one is told with its package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.replay import require_many_writers
from flowise_telemetry_consumer.sinks import Sink, SinkKind, installed, open_sink, sink_kind
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport import OutgoingRecord, open_writer
from tests.cli.program import program
from tests.consumer.sinks.writer_process import ROOT
from tests.consumer.world import event_id, value_of
from tests.services.kafka import KafkaService

EXAMPLE = ROOT / "docs" / "examples" / "sink_plugin"

pytestmark = pytest.mark.xdist_group("installed sink")  # installed once


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "source")
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--no-build-isolation",
    ]
    target = ["--python", sys.executable, "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run([*install, *target], check=True, timeout=120)
    return folder / "site"


def with_path(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}


@pytest.mark.slow
def test_the_example_fulfils_the_contract(site: Path) -> None:
    suite = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "arrow", "tests/consumer/sinks/test_contract.py"]
    environ = {**os.environ, **with_path(site), "SINK_UNDER_TEST": "arrow:///{folder}/events"}
    done = subprocess.run(
        [sys.executable, *suite], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_the_example_works_with_every_command_that_takes_a_sink(
    site: Path, embedded_kafka: KafkaService, tmp_path: Path
) -> None:
    topic = embedded_kafka.new_topic()
    writer = open_writer(embedded_kafka.settings())
    failures: list[object] = []
    for number in range(20):
        outgoing = OutgoingRecord(topic, event_id(number).encode(), value_of(number), partition=0)
        writer.send(outgoing, lambda _, error: failures.append(error) if error else None)
    assert writer.flush(timeout_seconds=60) == 0
    writer.close(timeout_seconds=5)
    assert failures == []
    environ = {
        **with_path(site),
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": ",".join(embedded_kafka.bootstrap_servers),
        "FLOWISE_TELEMETRY_TOPIC": topic,
    }
    for _ in range(2):
        done = program("replay", "--sink", "arrow:///events", folder=tmp_path, env=environ)
        assert done.status == 0, done
        assert "20" in done.stdout
    assert len(list((tmp_path / "events").glob("*.arrow"))) > 0
    done = program("replay", "--sink", "nonsense:///events", folder=tmp_path, env=environ)
    assert "arrow:… (flowise-telemetry-arrow 0.1.0)" in done.stderr


class Packages:
    """Packages of one entry point each that are installed for the length of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, value: str, *, scheme: str = "acme", name: str = "acme-sinks") -> None:
        info = self.folder / f"{name.replace('-', '_')}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(f"[{installed.GROUP}]\n{scheme} = {value}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return Packages(folder)


def open_badly(url: str) -> object:
    raise ValueError(f"cannot read {url}")


def open_refusing(url: str) -> object:
    raise SinkError("acme is closed on Sundays")


def open_nothing(url: str) -> object:
    return SimpleNamespace(prepare=print, read=print)


def kind(open_url: Callable[[str], object], scheme: str = "acme") -> SinkKind:
    return SinkKind(scheme=scheme, open=cast("Callable[[str], Sink]", open_url), example="acme://host", writers="one")


BADLY, REFUSING, NOTHING = kind(open_badly), kind(open_refusing), kind(open_nothing)
OTHERS = kind(open_refusing, "other")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("acme_sinks:open", "acme: the sink of acme-sinks 2.0 cannot be loaded: ModuleNotFoundError: .*acme_sinks"),
        (f"{__name__}:missing", "acme: the sink of acme-sinks 2.0 cannot be loaded: AttributeError"),
        (f"{__name__}:BADLY", "acme: the sink of acme-sinks 2.0 cannot be opened: ValueError$"),
        (f"{__name__}:NOTHING", "acme: the sink of acme-sinks 2.0 does not implement url, write, close$"),
        (f"{__name__}:open_badly", "acme: the entry point of acme-sinks 2.0 is not a SinkKind of the scheme 'acme'"),
        (f"{__name__}:OTHERS", "acme: the entry point of acme-sinks 2.0 is not a SinkKind of the scheme 'acme'"),
    ],
)
def test_what_is_wrong_is_told_with_the_package(packages: Packages, value: str, said: str) -> None:
    packages.install(value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_sink("acme://me:geheim@host")
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_sink_says_itself_is_passed_on(packages: Packages) -> None:
    packages.install(f"{__name__}:REFUSING")
    with pytest.raises(SinkError, match="closed on Sundays"):
        open_sink("acme://host")


def test_two_packages_with_one_scheme_are_told(packages: Packages) -> None:
    packages.install(f"{__name__}:BADLY")
    packages.install(f"{__name__}:NOTHING", name="other-sinks")
    with pytest.raises(ConfigurationError, match=r"several packages \(acme-sinks 2\.0, other-sinks 2\.0\)"):
        open_sink("acme://host")


def test_ours_come_first(packages: Packages, tmp_path: Path) -> None:
    packages.install(f"{__name__}:BADLY", scheme="sqlite")
    assert open_sink(f"sqlite:///{tmp_path}/x.db").url.startswith("sqlite:///")


def test_what_a_kind_of_another_package_says_is_asked_for_like_ours(packages: Packages) -> None:
    packages.install(f"{__name__}:REFUSING")
    assert (sink_kind("acme://host").writers, sink_kind("sqlite:///x").writers) == ("one", "many")
    with pytest.raises(ConfigurationError, match="a acme sink takes one process at a time, not 2"):
        require_many_writers("acme://host", 2)
