"""Crashes of a server of one's own take a minute: ``make test`` leaves them out."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("TEST_CRASH") else ["test_crashed_server.py"]
