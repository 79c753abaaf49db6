"""A request that is answered with a status other than 200."""

from __future__ import annotations

__all__ = ["RefusedRequestError"]


class RefusedRequestError(Exception):
    """``status``, ``error`` for programs, a text for people that never has a value, and when to come again."""

    def __init__(self, status: int, error: str, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.retry_after_seconds = retry_after_seconds
