"""The walk of the demo: its steps in order, and what to try next."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from flowise_telemetry_cli.commands.demo import arrival, fields, outage, switched_off
from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.errors import DONE, FAILED, INCOMPLETE, PROGRAM
from flowise_telemetry_cli.output.safe import echo

__all__ = ["STEPS", "walk"]

STEPS = (arrival.TITLE, switched_off.TITLE, outage.TITLE, fields.TITLE)
"""Titles of the steps."""

_NEXT = """
To try next: each event as it leaves, and why each field is collected; whether
telemetry is on here, and what decided it; what is missing from the table; the
report's numbers as text.

  {program} preview
  {program} status
  {program} loss --sink sqlite:///{database}
  {program} report --sink sqlite:///{database} --format markdown
"""


def _program() -> str:
    """Return this program as it can be typed: its name, or its path where no such command would be found."""
    here = Path(sys.executable).with_name(PROGRAM)
    if not here.is_file() or shutil.which(PROGRAM) == str(here):
        return PROGRAM
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def walk(events: int, database: Path, *, pause: bool) -> int:
    """Take all steps and return the exit status: failed where anything was found that was not expected."""
    narration = Narration(steps=len(STEPS), pause=pause)
    if not arrival.show_the_pipeline(narration, events, database):
        return INCOMPLETE
    switched_off.show_that_off_is_off(narration)
    outage.show_that_nothing_is_lost(narration)
    fields.show_what_leaves(narration)
    echo(_NEXT.rstrip("\n").format(program=_program(), database=database))
    return DONE if narration.as_expected else FAILED
