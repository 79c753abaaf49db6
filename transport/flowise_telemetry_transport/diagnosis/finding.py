"""A look at one thing that has to be right, in a line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from flowise_telemetry_schemas.errors import TelemetryError

__all__ = ["Finding", "Look", "State", "failed", "findings_of", "not_tried", "ok", "warning"]

_SHARE = 0.8

State = Literal["ok", "warning", "failed", "not tried"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what it is like, and what mends it; ``mend`` is empty where ``says`` ends with it."""

    name: str
    state: State
    says: str
    mend: str = ""

    @property
    def line(self) -> str:
        """What is said and what mends it, in one line."""
        return " ".join(f"{self.says}{f': {self.mend}' if self.mend else ''}".split())


def ok(name: str, says: str) -> Finding:
    """Return that all is well."""
    return Finding(name, "ok", says)


def warning(name: str, says: str, mend: str = "") -> Finding:
    """Return that it works, and may not for long."""
    return Finding(name, "warning", says, mend)


def failed(name: str, says: object, mend: str = "") -> Finding:
    """Return that it does not work."""
    return Finding(name, "failed", str(says), mend)


def not_tried(name: str, why: str, mend: str = "") -> Finding:
    """Return that this could not be looked at."""
    return Finding(name, "not tried", why, mend)


@dataclass(frozen=True, slots=True)
class Look:
    """A look of up to ``seconds``, which yields its findings as it has them. It must change nothing.

    ``run`` is given the time that it should be done in, a little less than is waited for it.
    """

    name: str
    seconds: float
    run: Callable[[float], Iterator[Finding]]


def findings_of(look: Look, seconds: float) -> list[Finding]:
    """Return what it finds within its time and ``seconds``, on a thread that is left behind after that."""
    found: list[Finding] = []
    bound = min(look.seconds, seconds)

    def run() -> None:
        try:
            found.extend(look.run(_SHARE * bound))  # one by one
        except TelemetryError as error:
            found.append(failed(look.name, error))
        except Exception as error:
            found.append(failed(look.name, f"the look ended with {type(error).__name__}"))

    thread = threading.Thread(target=run, name="flowise-telemetry-doctor", daemon=True)
    thread.start()
    thread.join(bound)
    taken = list(found)
    if thread.is_alive():
        taken.append(failed(look.name, f"no answer within {bound:.3g} s"))
    return taken
