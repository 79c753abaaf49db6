"""Sinks of other packages: entry points of the group ``flowise_telemetry.sinks``, each named after its URL scheme."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from flowise_telemetry_consumer.sinks.port import Sink
from flowise_telemetry_schemas import ConfigurationError, TelemetryError

__all__ = ["GROUP", "installed_schemes", "open_installed"]

GROUP = "flowise_telemetry.sinks"
"""The group of the entry points; the value of each is a function that takes a URL and gives a ``Sink``."""


def installed_schemes() -> list[str]:
    """The schemes that other packages bring, as their URLs begin, with the package's name."""
    return sorted({f"{point.name}:… ({_distribution(point)})" for point in entry_points(group=GROUP)})


def open_installed(scheme: str, url: str) -> Sink | None:
    """The sink of a URL that another package opens; None where none does.

    Raises ``ConfigurationError`` that names the package where it cannot be loaded, does not work or gives no sink. What
    it raises itself is told by its class alone, as its text may hold the URL; a ``TelemetryError`` is passed on.
    """
    points = list(entry_points(group=GROUP, name=scheme))
    if not points:
        return None
    by_value = {point.value: point for point in points}
    if len(by_value) > 1:
        packages = ", ".join(sorted({_distribution(point) for point in points}))
        raise ConfigurationError(f"{scheme}: is a sink of several packages ({packages}): uninstall all but one")
    point = points[0]
    try:
        open_url = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"{scheme}: the sink of {_distribution(point)} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    try:
        sink: Sink = open_url(url)
    except TelemetryError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{scheme}: the sink of {_distribution(point)} cannot be opened: {type(error).__name__}"
        ) from error
    missing = [name for name in _METHODS if not callable(getattr(sink, name, None))]
    if missing:
        raise ConfigurationError(
            f"{scheme}: the sink of {_distribution(point)} is none: it has no {', '.join(missing)}"
        )
    return sink


_METHODS = ("prepare", "write", "claim", "progress", "lock", "staging", "promote", "read", "counts", "close")


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
