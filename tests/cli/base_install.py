"""Every command on the base install: a process to which nothing but its own dependencies is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cli.command_tree import commands
from tests.cli.program import Finished, environment

__all__ = ["least_arguments", "run_all"]

_PROJECT = "flowise-telemetry"

# Good enough for the command to get to its work. Whatever else is asked for is a mistake of ours in one line.
_VALUES = {
    "before": "7d",
    "event": "tool_created",
    "files": "events.jsonl",
    "out": "out",
    "path": ".",
    "sink": "sqlite:///a.db",
    "to": "events[0]@5",
}


def least_arguments() -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each command and the arguments that it cannot do without, in the tree of all commands."""
    for words, command in commands():
        arguments: list[str] = []
        for parameter in command.params:
            if parameter.required:
                value = _VALUES.get(parameter.name or "", "some")
                arguments += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
        yield words, arguments


def _base(name: str, extras: frozenset[str], found: set[str]) -> set[str]:
    """Add what an installation of ``name`` with these extras brings."""
    found.add(canonicalize_name(name))
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")
        )
        if wanted and canonicalize_name(requirement.name) not in found:
            _base(requirement.name, frozenset(requirement.extras), found)
    return found


def _not_installed() -> list[str]:
    base = _base(_PROJECT, frozenset(), set())
    owners = packages_distributions().items()
    return [module for module, its in owners if base.isdisjoint(map(canonicalize_name, its))]


_FILES = {"events.jsonl": "", "app.ts": "telemetry.sendTelemetry('tool_created')\n"}

# One process loads what all have in common; each line runs in a fork of it.
_RUNNING = """
import json, os, signal, sys, tempfile
from importlib.machinery import PathFinder
given = json.load(sys.stdin)
class OfBase(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in given["hidden"] else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = OfBase
from flowise_telemetry_cli.main import run
def finished(line):
    folder = tempfile.mkdtemp(dir=os.getcwd())
    for name, text in given["files"].items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            os.chdir(folder)
            os.environ.update(HOME=folder, XDG_CONFIG_HOME=folder)
            for number, file in enumerate((open(os.devnull), out, err)):
                os.dup2(file.fileno(), number)
            sys.stdin = open(0)
            status = 1
            try:
                status = run(line)
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, *(file.seek(0) or file.read().decode() for file in (out, err))
print(json.dumps([finished(line) for line in given["lines"]]))
"""


def run_all(lines: Sequence[Sequence[str]], folder: Path, **variables: str) -> list[Finished]:
    """Run each line of arguments to its end, in a folder of its own that is its home."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNNING],
        input=json.dumps({"hidden": _not_installed(), "files": _FILES, "lines": lines}),
        capture_output=True,
        cwd=folder,
        env=environment(folder, **variables),
        timeout=300,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Finished(*each) for each in json.loads(done.stdout)]
