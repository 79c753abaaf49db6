"""The programs are in environments of their own, which ``make test-apps`` makes: ``make test`` leaves them out."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("APP_PYTHONS") else ["test_*.py"]
