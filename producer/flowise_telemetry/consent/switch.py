"""The consent of one ``Telemetry``: decided at its start, and again when the app's own setting changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry import environment
from flowise_telemetry.consent.decision import Consent, decide
from flowise_telemetry.consent.env_file import EnvFile, read_env_file
from flowise_telemetry.consent.stored_choice import store_app_choice
from flowise_telemetry.consent.watch import OptOutWatch

__all__ = ["ConsentSwitch"]

logger = logging.getLogger("flowise_telemetry")


class ConsentSwitch:
    """Decides, and stores the app's own choice. ``argument`` is that of ``Telemetry(enabled=)``."""

    def __init__(self, environ: Mapping[str, str], env_file: str | Path | None, argument: object) -> None:
        self._environ = environ
        self._env_file = env_file
        self._argument = argument
        self._file: EnvFile | None = None

    def decide(self) -> Consent:
        """Return the decision as of now."""
        self._file = None
        return decide(self._environ, self._read_file, argument=self._argument)

    def _read_file(self) -> EnvFile:
        self._file = self._file or read_env_file(self._env_file)
        return self._file

    @property
    def values(self) -> Mapping[str, str]:
        """The variables of ``.env``; none if the decision was made without it."""
        return self._file.values if self._file else {}

    @property
    def file(self) -> EnvFile:
        """The ``.env`` file as of the decision; an empty one if the decision was made without it."""
        return self._file or EnvFile(Path(self._env_file or ".env"))

    def watch(self) -> OptOutWatch:
        """Return a watch for opt-outs from now on."""
        path = Path(self._env_file) if self._env_file is not None else Path(".env")
        return OptOutWatch(self._environ, environment.over_file(self._environ, self.values), path)

    def store(self, enabled: bool) -> bool:
        """Store the app's own choice; return False, with one WARNING, if that fails."""
        try:
            store_app_choice(enabled, environment.over_file(self._environ, self._read_file().values))
        except OSError as error:
            logger.warning("telemetry: the app's choice cannot be stored: %s", error)
            return False
        return True

    def forget_spool(self, folder: str | Path | None) -> None:
        """Delete the events that ended processes left in the spool: accepted before an opt-out, they never leave.

        Loads SQLite only if there is one.
        """
        chosen = folder or environment.over_file(self._environ, self.values).get(environment.SPOOL_DIR, "").strip()
        try:
            if not chosen or not any(Path(chosen).iterdir()):
                return
            from flowise_telemetry.spool.files import delete_orphans
        except (OSError, ImportError):
            return
        delete_orphans(Path(chosen))
