"""The password of a database: a file is read at each connection, so that it can be rotated meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.password_files import read_password

__all__ = ["NO_PASSWORD", "Password"]


@dataclass(frozen=True, slots=True)
class Password:
    """A value or the path of a file; neither if the database takes its own way to one."""

    value: str | None = field(default=None, repr=False)
    file: str | None = None

    @classmethod
    def found(cls, url_value: str | None, url_file: str | None, environ: Mapping[str, str], variable: str) -> Password:
        """Return the password of a URL (a value or ``password_file=``), else of ``<variable>_FILE``."""
        if url_value:
            return cls(url_value)
        return cls(None, url_file or environ.get(f"{variable}_FILE", "").strip() or None)

    def read(self, *, after: str | None = None) -> str | None:
        """Return the password as of now; None if there is none. Raises ``ConfigurationError`` that names the file.

        Where the sink of this URL was connected before, that is ``SinkUnavailableError``: the file is being replaced.
        """
        if self.file is None:
            return self.value
        try:
            return read_password(self.file, "password_file")
        except ConfigurationError as error:
            if after is None:
                raise
            raise SinkUnavailableError(f"{after}: {error}") from error


NO_PASSWORD = Password()
