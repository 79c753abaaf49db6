"""What the exit status of every command means."""

from __future__ import annotations

__all__ = ["DONE", "FAILED", "INCOMPLETE", "MISUSE"]

DONE = 0
FAILED = 1
MISUSE = 2
"""A wrong option or setting: nothing was tried."""
INCOMPLETE = 3
"""Some of the work was not done; the counts on stdout say what."""
