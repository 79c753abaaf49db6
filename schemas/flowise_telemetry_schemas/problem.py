"""Problem: a rule that a schema breaks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a schema breaks. ``where`` is the event, its version and the path of the field."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
