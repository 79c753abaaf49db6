"""The first-run notice: shown once per installation on a terminal, and again when events tell more than it said.

Without a terminal, one WARNING takes the notice's place. Until either was shown, a new field is sent as its default.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

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


def show_notice(environ: Mapping[str, str], stream: TextIO | None = None) -> bool:
    """Write the notice if stderr is a terminal and it was not shown before; return True if it was written.

    It is written only if that can be remembered; otherwise an app on a read-only disk would show it at every start.
    """
    stream = sys.stderr if stream is None else stream
    folder = config_folder(environ)
    # ValueError: the stream is closed. AttributeError: there is none, under pythonw.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if folder is None or not stream.isatty():
            return False
        shown = _shown(folder)
        if shown is not None and shown >= DISCLOSURE:
            return False
        if write_privately(folder / NOTICE_FILE, f"shown {DISCLOSURE}\n", replace=shown is not None):
            stream.write(NOTICE)
            stream.flush()
            return True
    return False


def disclose(environ: Mapping[str, str]) -> int:
    """Return the latest disclosure that was shown, after the WARNING that stands for a notice, if one is due.

    The first release's needs none: what was never shown at all is as old as the installation.
    """
    folder = config_folder(environ)
    shown = (None if folder is None else _shown(folder)) or _FIRST
    if shown >= DISCLOSURE or not is_seen(logger):
        return shown
    logger.warning(
        "telemetry: events tell more than before (disclosure %d, %d was shown): flowise-telemetry preview shows each"
        " field, DISABLE_FLOWISE_TELEMETRY=true turns telemetry off",
        DISCLOSURE,
        shown,
    )
    with contextlib.suppress(OSError):  # said again at the next start
        if folder is not None:
            write_privately(folder / NOTICE_FILE, f"shown {DISCLOSURE}\n", replace=True)
    return DISCLOSURE


def _shown(folder: Path) -> int | None:
    """Return the number of the disclosure that was shown; None if none ever was."""
    try:
        words = (folder / NOTICE_FILE).read_text(encoding="ascii", errors="replace").split()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _FIRST  # what cannot be read says nothing newer
    return int(words[-1]) if words and words[-1].isascii() and words[-1].isdecimal() else _FIRST
