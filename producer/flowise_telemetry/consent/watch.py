"""Opt-outs that are made while the app runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flowise_telemetry.config_folder import last_opt_out_ms
from flowise_telemetry.consent.decision import Consent, environment_opt_out, stored_consent, unusual_opt_out
from flowise_telemetry.consent.env_file import find_opt_out

__all__ = ["OptOutWatch"]


class OptOutWatch:
    """Notices an opt-out; the first one stays, whatever is said later.

    The environment is checked at every call; unusual spellings in it, and files, which are the stored choices and
    ``.env``, at most every ``file_check_seconds``. ``choice_environ`` says where the choices are.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        choice_environ: Mapping[str, str],
        env_file: Path | None = None,
        *,
        file_check_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._choice_environ = choice_environ
        self._env_file = env_file
        # The app may change its working directory, and the stat of a file need not show that its text has changed.
        self._env_file_read = None if env_file is None else _absolute(env_file)
        self._file_check_seconds = file_check_seconds
        self._clock = clock
        self._files_checked_at = float("-inf")
        self._last_opt_out_ms: int | None = None  # as of the first event: none was accepted before
        self._found: Consent | None = None

    def opt_out(self) -> Consent | None:
        """Return the opt-out; None while there is none."""
        if self._found is None:
            self._found = self._look()
        return self._found

    def opt_out_now(self, consent: Consent) -> None:
        """Take an opt-out from the app itself."""
        self._found = self._found or consent

    def _look(self) -> Consent | None:
        now = self._clock()
        is_time = now - self._files_checked_at >= self._file_check_seconds
        if name := environment_opt_out(self._environ) or (unusual_opt_out(self._environ) if is_time else None):
            return Consent(False, f"{name} in the environment")
        if not is_time:
            return None
        self._files_checked_at = now
        if self._env_file_read is not None and (found := find_opt_out(self._env_file_read)):
            return Consent(False, f"{found} in {self._env_file}")
        stored = stored_consent(self._choice_environ)
        if stored is not None and not stored.enabled:
            return stored
        last = last_opt_out_ms(self._choice_environ)
        before, self._last_opt_out_ms = self._last_opt_out_ms, last
        if before not in (None, last):
            return Consent(False, "an opt-out or forget since the start (a restart turns it on)")
        return None


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except OSError:  # the working directory was deleted
        return path
