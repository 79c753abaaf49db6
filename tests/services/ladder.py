"""A ladder of ways to get a service: the first rung that holds is used, and each that does not says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["NoServiceError", "Rung", "RungUnavailableError", "climb", "docker_is_required", "require_permission"]

T = TypeVar("T")


class RungUnavailableError(Exception):
    """This way does not work on this machine; the message says why."""


class NoServiceError(Exception):
    """No way works, or the one that is required does not."""


@dataclass(frozen=True, slots=True)
class Rung(Generic[T]):
    """A way to get a service."""

    name: str
    start: Callable[[], T]


def docker_is_required(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``REQUIRE_DOCKER=1`` forbids every other way, and every skip."""
    return environ.get("REQUIRE_DOCKER", "") == "1"


def require_permission(service: str, environ: Mapping[str, str] = os.environ) -> None:
    """Raise ``NoServiceError`` where ``NO_SERVICES=1`` is set: such a run is to be fast, and everywhere the same."""
    if environ.get("NO_SERVICES", "") == "1":
        raise NoServiceError(f"NO_SERVICES=1 forbids {service}: mark the test with `services`")


def climb(service: str, rungs: Sequence[Rung[T]], *, required: str | None = None) -> tuple[T, list[str]]:
    """The service, and why each rung before it was passed over. With ``required`` only that rung counts."""
    reasons: list[str] = []
    for rung in rungs:
        if required is not None and rung.name != required:
            continue
        try:
            return rung.start(), reasons
        except RungUnavailableError as reason:
            reasons.append(f"{rung.name}: {reason}")
    demand = f" (REQUIRE_DOCKER=1 allows {required} only)" if required else ""
    raise NoServiceError(f"no {service}{demand}: {'; '.join(reasons)}")
