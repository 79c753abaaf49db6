"""The user whom the wheel's PostgreSQL runs as where the tests are root's: it refuses to run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess

from tests.services.ladder import RungUnavailableError

__all__ = ["postgres_user"]

_NAME = "pgserver"  # the wheel's own choice
# A root who has a user's PATH (su without -, cron) finds no useradd in it.
_ADMINISTRATORS = "/usr/sbin:/sbin"


def postgres_user() -> pwd.struct_passwd | None:
    """Return the user, who is made where there is none; None where the tests are not root's."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_NAME)
    useradd = shutil.which("useradd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), _ADMINISTRATORS)))
    if useradd is None:
        raise RungUnavailableError(f"PostgreSQL refuses root, and there is no useradd to make the user {_NAME}")
    made = subprocess.run([useradd, "--shell", "/bin/bash", _NAME], capture_output=True, text=True, check=False)
    try:
        return pwd.getpwnam(_NAME)  # another worker may have been first
    except KeyError:
        raise RungUnavailableError(f"the user {_NAME} could not be made: {made.stderr.strip()}") from None
