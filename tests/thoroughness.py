"""How thorough a run is: quick on a developer's machine, thorough where ``CI=true``."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hypothesis import settings

__all__ = ["IS_CI", "KILL_ROUNDS", "examples", "load_hypothesis_profile"]

IS_CI = os.environ.get("CI") == "true"

KILL_ROUNDS = 10 if IS_CI else 4
"""How many times a process is killed and started again by tests that try moments at random."""

# What hypothesis calls "ci" by itself, and takes for the default where it sees CI, tries the same examples every time.
for _name, _examples in (("dev", 25), ("ci", 100)):
    settings.register_profile(
        _name, settings.get_profile("default"), max_examples=_examples, deadline=None, derandomize=False
    )


def load_hypothesis_profile(environ: Mapping[str, str] = os.environ) -> None:
    """Load what ``HYPOTHESIS_PROFILE`` names, or else ``ci`` where ``CI=true`` and ``dev`` elsewhere."""
    settings.load_profile(environ.get("HYPOTHESIS_PROFILE") or ("ci" if IS_CI else "dev"))


def examples(times: float) -> int:
    """Return so many times the profile's examples: for tests of much or little cost, or with many cases to find."""
    return max(1, round(settings().max_examples * times))
