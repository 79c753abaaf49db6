"""What is built and what is installed: wheel, sdist, locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flowise_telemetry_cli.main import cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("schemas", "transport", "producer", "gateway", "consumer", "report", "cli")
OF_THE_SERVICE = {"compact", "consume", "demo", "dlq", "replay"}
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def locked(lock: str) -> dict[str, str]:
    """Versions by package name."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    pins = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def declared(*groups: str) -> list[Requirement]:
    """What pyproject.toml asks for: the base, all extras, and these dependency groups."""
    project = PROJECT["project"]
    texts = [*project["dependencies"], *(text for texts in project["optional-dependencies"].values() for text in texts)]
    texts += [text for group in groups for text in PROJECT["dependency-groups"][group]]
    return [wanted for text in texts if (wanted := Requirement(text)).name != project["name"]]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_name_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|^\s*-[ifr]\b|--(extra-)?index-url|--find-links", text, re.MULTILINE)
    pins = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize(("lock", "groups"), [("run", ()), ("dev", ("build", "dev"))])
def test_locks_hold_what_the_project_declares(lock: str, groups: tuple[str, ...]) -> None:
    pins = locked(lock)
    stale = [
        str(wanted)
        for wanted in declared(*groups)
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0"), prereleases=True)
    ]
    assert not stale, "run: make lock"


def test_the_lock_of_the_documentation_holds_its_group() -> None:
    pins = locked("docs")
    wanted = [Requirement(text) for text in PROJECT["dependency-groups"]["docs"]]
    assert [str(one) for one in wanted if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"))] == []


def test_locks_agree_with_each_other() -> None:
    assert (locked("run") | locked("build")).items() <= locked("dev").items(), "run: make lock"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was built out of the unpacked sdist."""
    dist = tmp_path_factory.mktemp("dist")
    hatch = [sys.executable, "-m", "hatchling", "build", "--directory", str(dist)]
    subprocess.run([*hatch, "--target", "sdist"], cwd=ROOT, check=True, timeout=120)
    (sdist,) = dist.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist, "-C", dist], check=True, timeout=60)
    unpacked = dist / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*hatch, "--target", "wheel"], cwd=unpacked, check=True, timeout=120)
    return dist


@pytest.mark.slow
def test_wheel_built_from_the_sdist_holds_every_file_of_the_rooms(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    (page,) = (name for name in names if ".data/" in name)
    assert page.endswith(".data/data/share/man/man1/flowise-telemetry.1")
    names.remove(page)
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file())
    expected = {file.relative_to(ROOT) for file in files if not {"__pycache__", "man"} & set(file.parts)}
    assert names == {"/".join(file.parts[1:]) for file in expected}
    assert {name for name in names if name.endswith(".avsc")}
    assert "flowise_telemetry_schemas/vocabulary/node_types.txt" in names
    assert len({name for name in names if name.endswith("/py.typed")}) == len(ROOMS)


@pytest.mark.slow
@pytest.mark.parametrize("command", cli.list_commands(click.Context(cli)))
def test_the_base_install_explains_a_command_or_names_its_extra(command: str) -> None:
    extras = ["polars", "psycopg", "duckdb", "obstore", "confluent_kafka", "rich"]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({extras!r}))  # None: importing it raises, as where it is not installed
from flowise_telemetry_cli.main import main
main(["{command}", "--help"])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    if command in OF_THE_SERVICE and told.returncode:
        assert re.fullmatch(r"error: \w+ is not installed: pip install 'flowise-telemetry\[\w+\]'\n", told.stderr)
    else:
        assert (told.returncode, told.stderr) == (0, "")
        assert command in told.stdout


@pytest.mark.parametrize(
    ("interpreter", "told"),
    [
        (None, "is not there: install Python 3.11 or later"),
        ('[ "$1" = -V ] && echo Python 3.9.2; exit 1', "is Python 3.9.2, 3.11 or later is needed"),
        # New enough, and every module that could make or fill an environment is missing.
        ('case "$2" in *version_info*) ;; *) exit 1 ;; esac', "apt install python3-venv"),
    ],
    ids=["no python", "too old", "no venv module"],
)
def test_set_up_that_cannot_work_says_so_in_one_line(tmp_path: Path, interpreter: str | None, told: str) -> None:
    python, venv = tmp_path / "python3", tmp_path / "venv"
    if interpreter:
        python.write_text(f"#!/bin/sh\n{interpreter}\n")
        python.chmod(0o755)
    done = subprocess.run(
        ["requirements/install.sh", python, venv], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("making ")]
    assert (done.returncode, len(lines)) == (1, 1)
    assert told in lines[0]
    assert not venv.exists()


def test_the_image_is_built_from_every_room() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {package.split("/")[0] for package in packages} <= let_in
