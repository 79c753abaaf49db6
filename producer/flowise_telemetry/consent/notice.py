"""The first-run notice: once for an installation, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import TextIO

from flowise_telemetry.config_folder import config_folder, write_privately

__all__ = ["NOTICE", "NOTICE_FILE", "show_notice"]

NOTICE_FILE = "notice-shown"

NOTICE = """\
This app sends anonymous usage events: which kinds of flow, tool and assistant are made and used, as ids and counts.
No prompt, message, credential, variable or free text is ever in them. They show its maintainers what is in use.
See what would be sent: flowise-telemetry preview     Turn it off: flowise-telemetry disable
or set DISABLE_FLOWISE_TELEMETRY=true. This is shown once.
"""


def show_notice(environ: Mapping[str, str], stream: TextIO | None = None) -> bool:
    """Writes the notice to stderr unless that is no terminal or it was shown before; returns whether it was written.

    It is written only if that can be remembered: an app on a read-only disk would else show it at every start.
    """
    stream = sys.stderr if stream is None else stream
    folder = config_folder(environ)
    # A closed stream raises ValueError; pythonw has none.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if folder is None or not stream.isatty() or (folder / NOTICE_FILE).exists():
            return False
        if write_privately(folder / NOTICE_FILE, "shown\n", replace=False):
            stream.write(NOTICE)
            stream.flush()
            return True
    return False
