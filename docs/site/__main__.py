"""``python -m docs.site FOLDER``: writes the pages of the reference that the code decides.

They are made whenever the site is built, and kept nowhere, so that none can be out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docs.site.api import api_page
from docs.site.commands import commands_page
from docs.site.metrics import metrics_page
from docs.site.settings import settings_page

PAGES = {"api.md": api_page, "commands.md": commands_page, "metrics.md": metrics_page, "settings.md": settings_page}


def write(folder: Path) -> None:
    """Write every page into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
