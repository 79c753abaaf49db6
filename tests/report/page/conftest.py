"""A browser takes seconds and has to be there: only ``make test-report`` runs the tests in one."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("TEST_BROWSER") else ["test_in_browser*.py"]
