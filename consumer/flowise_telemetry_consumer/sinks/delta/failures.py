"""Errors of the ``deltalake`` package and of object stores as ours. Their texts hold addresses and key ids: only the
status is told."""

from __future__ import annotations

import re

from flowise_telemetry_consumer.errors import SinkDeniedError, SinkError, SinkUnavailableError

__all__ = ["failure_of", "is_of_deltalake", "told"]

# deltalake draws a chain of causes, in colour and with arrows.
_DRAWN = re.compile(r"(?:\x1b\[\d+m|↳|\s)+")
_STATUS = re.compile(r"status code:? (\d{3}(?: [A-Z][A-Za-z]+)*)")

_NOT_FOUND = 404
_NOT_ALLOWED = (401, 403)
_REFUSED = range(300, 500)
_BUSY = (408, 409, 423, 429)


def is_of_deltalake(error: Exception) -> bool:
    """Tell if an exception is one of the ``deltalake`` package's own."""
    # Its classes are of a module that is loaded only where it is used.
    return any(kind.__module__ in ("_internal", "deltalake._internal", "deltalake.exceptions")
               for kind in type(error).__mro__)  # fmt: skip


def failure_of(error: Exception, url: str, *, bucket: str = "") -> SinkError:
    """Return our error for one of ``deltalake``, of polars or of an object store; an outage where waiting helps."""
    found = _STATUS.search(_DRAWN.sub(" ", str(error)))
    status = found[1] if found else type(error).__name__
    code = int(found[1][:3]) if found else 0
    if code == _NOT_FOUND or isinstance(error, FileNotFoundError):
        return SinkError(f"{url} cannot be opened: there is no {f'bucket {bucket}' if bucket else 'such table'}")
    return told(url, code, status, is_of_deltalake(error))


def told(url: str, code: int, status: str, is_of_tables: bool) -> SinkError:
    """Return our error for a status."""
    if code in _NOT_ALLOWED:
        return SinkDeniedError(
            f"{url} refused the credentials ({status}): they are those of the environment (AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY) or of the machine; they must allow to list the bucket, get, put and delete"
        )
    if code in _REFUSED and code not in _BUSY:
        return SinkError(f"{url} refused ({status}): are endpoint_url and region right?")
    if code == 0 and is_of_tables and "CommitFailed" not in status:
        return SinkError(f"{url} holds a table that cannot be read ({status}): restore it, or move it away")
    return SinkUnavailableError(f"{url} cannot be used: {status}")
