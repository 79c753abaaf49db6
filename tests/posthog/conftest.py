"""PostHog's clients; they are installed by ``make test-gateway``."""

from __future__ import annotations

import os

from tests.gateway.conftest import broker, make_gateway

__all__ = ["broker", "make_gateway"]

collect_ignore_glob = [] if os.environ.get("GATEWAY_CLIENTS") else ["test_*.py"]
