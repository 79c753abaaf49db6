"""Copies of a ``Telemetry``: ``copy`` and ``deepcopy`` return the same object, ``pickle`` makes a new one."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Identity", "load"]


class _Decision(Protocol):
    @property
    def enabled(self) -> bool: ...


class _Telemetry(Protocol):
    _identity: Identity

    @property
    def consent(self) -> _Decision: ...

    def close(self) -> None: ...


_here: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


class Identity:
    """What a pickle of a ``Telemetry`` carries: no password, no callback, nothing of the environment.

    Loaded twice in one process, or in that of the original and its forked children, it is one object: a worker of
    joblib that gets one with each task has one connection.
    """

    def __init__(self, telemetry: _Telemetry, arguments: Mapping[str, Any]) -> None:
        self._token = os.urandom(16).hex()
        self._arguments = {name: value for name, value in arguments.items() if not _may_hold_a_password(value)}
        _here[self._token] = telemetry

    def pickled(self, telemetry: _Telemetry, *, closed: bool) -> tuple[Any, ...]:
        """Return what ``__reduce__`` does. One that is off stays off."""
        arguments = self._arguments if telemetry.consent.enabled else {**self._arguments, "enabled": False}
        return load, (type(telemetry), self._token, arguments, closed)

    def adopt(self, token: str, telemetry: _Telemetry) -> None:
        """Be the one that this token stands for in this process."""
        self._token = token
        _here[token] = telemetry


def load(kind: Callable[..., _Telemetry], token: str, arguments: Mapping[str, Any], closed: bool) -> _Telemetry:
    """Return the object of the token, made from this process's environment if it is not here yet."""
    telemetry: _Telemetry | None = _here.get(token)
    if telemetry is None:
        telemetry = kind(**arguments)
        telemetry._identity.adopt(token, telemetry)
        if closed:
            telemetry.close()
    return telemetry


def _may_hold_a_password(value: object) -> bool:
    return isinstance(value, str) and "@" in value
