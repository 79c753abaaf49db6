"""Producers of other languages; what they need is installed by ``make test-languages``."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("LANGUAGE_CLIENTS") else ["test_*.py"]
