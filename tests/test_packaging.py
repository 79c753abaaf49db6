"""What is built and what is installed: wheel, sdist, locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("schemas", "transport", "producer", "consumer", "cli")
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


def test_wheel_built_from_the_sdist_holds_every_file_of_the_rooms(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file())
    expected = {file.relative_to(ROOT) for file in files if "__pycache__" not in file.parts}
    assert names == {"/".join(file.parts[1:]) for file in expected}
    assert {name for name in names if name.endswith(".avsc")}
    assert len({name for name in names if name.endswith("/py.typed")}) == len(ROOMS)
