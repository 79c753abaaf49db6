"""Kinds of sinks from other packages: entry points of one group, each named after its URL scheme."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from flowise_telemetry_consumer.sinks.kind import SinkKind
from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import ConfigurationError, TelemetryError

__all__ = ["GROUP", "installed_kind", "installed_schemes"]

GROUP = "flowise_telemetry.sinks"
"""The group of the entry points; the value of each is a ``SinkKind``."""


def installed_schemes() -> list[str]:
    """Return the schemes of other packages, as ``scheme:… (package version)``."""
    return sorted({f"{point.name}:… ({_distribution(point)})" for point in entry_points(group=GROUP)})


def installed_kind(scheme: str) -> SinkKind | None:
    """Return the kind that another package provides for a scheme, or None.

    Raises ``ConfigurationError`` with the package's name if it cannot be loaded, is not a ``SinkKind`` of that scheme,
    or is provided by several packages. The kind's ``open`` raises it too, if opening fails or the result is not a sink.
    """
    points = list(entry_points(group=GROUP, name=scheme))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        packages = ", ".join(sorted({_distribution(point) for point in points}))
        raise ConfigurationError(f"{scheme}: is a sink of several packages ({packages}): uninstall all but one")
    package = _distribution(points[0])
    try:
        kind = points[0].load()
    except Exception as error:
        raise ConfigurationError(
            f"{scheme}: the sink of {package} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(kind, SinkKind) or kind.scheme != scheme:
        raise ConfigurationError(f"{scheme}: the entry point of {package} is not a SinkKind of the scheme {scheme!r}")
    return replace(kind, open=partial(_open, kind, package))


def _open(kind: SinkKind, package: str, url: str) -> Sink:
    try:
        sink = kind.open(url)
    except TelemetryError:
        raise
    except Exception as error:
        # Only the exception's class is reported, because its message may contain the URL.
        raise ConfigurationError(
            f"{kind.scheme}: the sink of {package} cannot be opened: {type(error).__name__}"
        ) from error
    missing = [name for name in ("url", "prepare", "write", "close") if not hasattr(sink, name)]
    if missing:
        raise ConfigurationError(f"{kind.scheme}: the sink of {package} does not implement {', '.join(missing)}")
    return sink


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
