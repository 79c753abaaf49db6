"""The public names of each package; mkdocstrings fills in their signatures and docstrings."""

from __future__ import annotations

import importlib
import inspect

from docs.site.markdown import prose

__all__ = ["api_page"]

_PACKAGES = (
    "flowise_telemetry",
    "flowise_telemetry.testing",
    "flowise_telemetry_schemas",
    "flowise_telemetry_transport",
    "flowise_telemetry_consumer",
    "flowise_telemetry_consumer.sinks",
    "flowise_telemetry_gateway",
    "flowise_telemetry_report",
)


def api_page() -> str:
    """Return the page, in which ``:::`` stands for what a name says of itself."""
    parts = ["# Python\n", "The public names, one package after the other. What is not here may change at any time.\n"]
    for package in _PACKAGES:
        module = importlib.import_module(package)
        parts += [f"## {package}\n", prose(inspect.getdoc(module) or "").split("\n\n")[0] + "\n"]
        parts += [f"::: {package}.{name}\n" for name in sorted(module.__all__)]
    return "\n".join(parts)
