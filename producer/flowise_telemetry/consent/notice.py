"""The first-run notice: shown once per installation on a terminal, and again when events tell more than it said.

Without a terminal, one WARNING takes the notice's place. Until either was shown, a new field is sent as its default.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TextIO

from flowise_telemetry.config_folder import config_folder, write_privately
from flowise_telemetry.first_warning import is_seen
from flowise_telemetry_schemas.events import DISCLOSURE

__all__ = ["NOTICE", "NOTICE_FILE", "disclose", "show_notice"]

logger = logging.getLogger("flowise_telemetry")

NOTICE_FILE = "notice-shown"
_FIRST = 1

NOTICE = """\
This app sends usage events, which help its maintainers see what is used: which kinds of flows, tools and assistants
are created and used, as ids, kinds, node types and how they are connected, names of tools, the app's version and the
time. Prompts, messages, variables and settings are not read; a name that does not look like a function's, or looks like
a credential, is withheld. The installation has another id every month; ids of flows, conversations, tools and
assistants stay the same unless you set FLOWISE_TELEMETRY_IDS=hashed.
See what would be sent: flowise-telemetry preview     Turn it off: flowise-telemetry disable
or set DISABLE_FLOWISE_TELEMETRY=true. This notice is shown once, and when a field is added.
"""


OWN_NOTICE = """\
It also sends events of its own: {names}.
See them with flowise-telemetry preview --schemas and their folder.
"""


class OwnEvents(Protocol):
    """What the notice tells of events of the app's own: their namespace, their names and their latest disclosure."""

    @property
    def namespace(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def disclosure(self) -> int: ...


def show_notice(environ: Mapping[str, str], stream: TextIO | None = None, *, own: OwnEvents | None = None) -> bool:
    """Write the notice if stderr is a terminal and it was not shown before; return True if it was written.

    It is written only if that can be remembered; otherwise an app on a read-only disk would show it at every start.
    """
    stream = sys.stderr if stream is None else stream
    folder = config_folder(environ)
    # ValueError: the stream is closed. AttributeError: there is none, under pythonw.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if folder is None or not stream.isatty():
            return False
        due = [(name, latest) for name, latest in _disclosures(own) if (_shown(folder, name) or 0) < latest]
        remembered = [_remember(folder, name, latest) for name, latest in due]
        if due and all(remembered):
            stream.write(NOTICE if own is None else NOTICE + OWN_NOTICE.format(names=", ".join(own.names)))
            stream.flush()
            return True
    return False


def disclose(environ: Mapping[str, str], *, own: OwnEvents | None = None) -> int:
    """Return the latest disclosure that was shown, after the WARNING that stands for a notice, if one is due.

    That of the app's ``own`` events, if they are given, else that of the shipped ones. The first release's needs no
    WARNING: what was never shown at all is as old as the installation.
    """
    return _disclosed(config_folder(environ), *_disclosures(own)[-1])


def _disclosures(own: OwnEvents | None) -> list[tuple[str, int]]:
    """Return the file in which each disclosure is remembered, and its number."""
    of_own = [] if own is None else [(f"{NOTICE_FILE}-{own.namespace}", own.disclosure)]
    return [(NOTICE_FILE, DISCLOSURE), *of_own]


def _disclosed(folder: Path | None, name: str, latest: int) -> int:
    shown = (None if folder is None else _shown(folder, name)) or _FIRST
    if shown >= latest or not is_seen(logger):
        return shown
    logger.warning(
        "telemetry: events tell more than before (disclosure %d, %d was shown): flowise-telemetry preview shows each"
        " field, DISABLE_FLOWISE_TELEMETRY=true turns telemetry off",
        latest,
        shown,
    )
    with contextlib.suppress(OSError):  # said again at the next start
        if folder is not None:
            write_privately(folder / name, f"shown {latest}\n", replace=True)
    return latest


def _remember(folder: Path, name: str, latest: int) -> bool:
    return write_privately(folder / name, f"shown {latest}\n", replace=_shown(folder, name) is not None)


def _shown(folder: Path, name: str) -> int | None:
    """Return the number of the disclosure that was shown; None if none ever was."""
    try:
        words = (folder / name).read_text(encoding="ascii", errors="replace").split()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _FIRST  # what cannot be read says nothing newer
    return int(words[-1]) if words and words[-1].isascii() and words[-1].isdecimal() else _FIRST
