"""The first-run notice, shown once per installation and on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TextIO

from flowise_telemetry.config_folder import config_folder, write_privately

__all__ = ["NOTICE", "NOTICE_FILE", "show_notice"]

NOTICE_FILE = "notice-shown"

NOTICE = """\
This app sends usage events, which help its maintainers see what is used: which kinds of flows, tools and assistants
are created and used, as ids, node types, counts and names of tools. Prompts, messages, variables and settings are not
read; a name that does not look like a function's, or looks like a credential, is withheld. The installation has
another id every month; ids of flows and conversations stay the same unless you set FLOWISE_TELEMETRY_IDS=hashed.
See what would be sent: flowise-telemetry preview     Turn it off: flowise-telemetry disable
or set DISABLE_FLOWISE_TELEMETRY=true. This notice is shown once.
"""


def show_notice(environ: Mapping[str, str], stream: TextIO | None = None) -> bool:
    """Write the notice if stderr is a terminal and it was not shown before; return True if it was written.

    It is written only if that can be remembered; otherwise an app on a read-only disk would show it at every start.
    """
    stream = sys.stderr if stream is None else stream
    folder = config_folder(environ)
    # ValueError: the stream is closed. AttributeError: there is none, under pythonw.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if folder is None or not stream.isatty() or (folder / NOTICE_FILE).exists():
            return False
        if write_privately(folder / NOTICE_FILE, "shown\n", replace=False):
            stream.write(NOTICE)
            stream.flush()
            return True
    return False
