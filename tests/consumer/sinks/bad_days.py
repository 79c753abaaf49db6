"""A store of a lake whose process is killed after so many of its steps."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MANY", "BadDays", "InterruptedHereError"]

MANY = 1_000_000
"""Steps that are never used up."""


class InterruptedHereError(Exception):
    pass


class BadDays:
    """To be put before a store's class: stops after so many steps that change something."""

    steps_left = MANY

    def _step(self) -> None:
        if not self.steps_left:
            raise InterruptedHereError
        self.steps_left -= 1

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        for file in files:
            self._step()
            super().put([file])  # type: ignore[misc]  # the store's

    def create(self, path: str, data: bytes) -> bool:
        self._step()
        created: bool = super().create(path, data)  # type: ignore[misc]  # the store's
        return created

    def copy(self, files: Sequence[tuple[str, str]]) -> None:
        for file in files:
            self._step()
            super().copy([file])  # type: ignore[misc]  # the store's
