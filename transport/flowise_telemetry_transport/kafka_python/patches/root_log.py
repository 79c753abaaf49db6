"""kafka-python-ng 2.2.3: its SCRAM login logs on the root logger, a traceback for each login that is refused.

``kafka.sasl.scram`` asks for a logger without a name. Unnecessary once it has one.
"""

from __future__ import annotations

import logging
import sys

__all__ = ["name_root_logs"]


def name_root_logs() -> None:
    """Have the client's modules log under their own names, where they took the root logger; ``kafka`` is imported."""
    for name, module in sys.modules.copy().items():  # in one step: other threads import
        if name.startswith("kafka.") and getattr(module, "log", None) is logging.root:
            module.log = logging.getLogger(name)  # type: ignore[attr-defined]  # it has one, as was just seen
