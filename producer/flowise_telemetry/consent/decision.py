"""The decision whether events may be sent.

One opt-out anywhere is enough: no opt-in, not even an argument in the program, overrides it. The places are checked in
this order, and the first opt-out decides:

1. the argument ``enabled=False``
2. ``DISABLE_FLOWISE_TELEMETRY`` in the process environment
3. ``DO_NOT_TRACK`` in the process environment
4. either variable in the ``.env`` file (``env_file=``, else ``.env`` in the working directory)
5. the choice stored by ``flowise-telemetry disable``

A place that exists and cannot be read (a file without permission, a broken line that names an opt-out) counts as an
opt-out. Without any opt-out, the first opt-in in the same order is named as the decider; without either, the default is
on. Nothing is checked after an opt-out, so one in the environment opens no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowise_telemetry import environment
from flowise_telemetry.consent.env_file import EnvFile
from flowise_telemetry.consent.stored_choice import StoredChoiceError, read_choice

__all__ = ["Consent", "OptOutWatch", "decide"]


@dataclass(frozen=True, slots=True)
class Consent:
    """The decision, and a description of the place that made it."""

    enabled: bool
    decided_by: str


def _environment_opt_out(environ: Mapping[str, str]) -> str | None:
    """Return the name of the opt-out variable that is set, if any."""
    for name in environment.OPT_OUTS:
        if environment.is_set(environ, name):
            return name
    return None


def decide(environ: Mapping[str, str], read_file: Callable[[], EnvFile], *, argument: bool | None = None) -> Consent:
    """Return the decision. ``read_file`` is called only if no place before it opted out."""
    if argument is False:
        return Consent(False, "the argument enabled=False")
    if name := _environment_opt_out(environ):
        return Consent(False, f"{name} in the environment")
    file = read_file()
    name = _environment_opt_out(file.values)
    if name or file.unreadable_opt_out:
        return Consent(False, file.unreadable_opt_out or f"{name} in {file.path}")
    stored = _stored({**file.values, **environ})
    if stored is not None and not stored.enabled:
        return stored
    if argument:
        return Consent(True, "the argument enabled=True")
    return _environment_opt_in(environ, file) or stored or Consent(True, "the default")


def _environment_opt_in(environ: Mapping[str, str], file: EnvFile) -> Consent | None:
    for values, place in ((environ, "the environment"), (file.values, str(file.path))):
        for name in environment.OPT_OUTS:
            if environment.is_set(values, name) is False:
                return Consent(True, f"{name} in {place}")
    return None


def _stored(environ: Mapping[str, str]) -> Consent | None:
    try:
        choice = read_choice(environ)
    except StoredChoiceError as error:
        return Consent(False, str(error))
    if choice is None:
        return None
    return Consent(choice, f"the stored choice (flowise-telemetry {'enable' if choice else 'disable'})")


class OptOutWatch:
    """Notices an opt-out that is set while the app runs.

    The environment is checked at every call; the stored choice, which is a file, at most every
    ``choice_check_seconds``. ``choice_environ`` says where that file is.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        choice_environ: Mapping[str, str],
        *,
        choice_check_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._choice_environ = choice_environ
        self._choice_check_seconds = choice_check_seconds
        self._clock = clock
        self._choice_checked_at = float("-inf")

    def opt_out(self) -> Consent | None:
        """Return the opt-out; None while there is none."""
        if name := _environment_opt_out(self._environ):
            return Consent(False, f"{name} in the environment")
        now = self._clock()
        if now - self._choice_checked_at < self._choice_check_seconds:
            return None
        self._choice_checked_at = now
        stored = _stored(self._choice_environ)
        return stored if stored is not None and not stored.enabled else None
