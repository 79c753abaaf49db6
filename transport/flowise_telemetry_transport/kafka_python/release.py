"""The two clients imported as ``kafka``: kafka-python-ng 2.2.3, which we install, and kafka-python 3."""

from __future__ import annotations

import functools
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError

__all__ = ["import_kafka", "is_kafka_python_3", "mixed_install"]

logger = logging.getLogger("flowise_telemetry.transport")

_OWNERS = ("kafka-python", "kafka-python-ng")


def is_kafka_python_3(client: Any) -> bool:
    """Return True if a consumer or admin client is one of kafka-python 3, whose I/O runs on its own thread."""
    return hasattr(client, "_net")


@functools.cache
def import_kafka() -> Any:
    """Return the module ``kafka``, with one WARNING if two distributions have written their files into it.

    Raises ``ConfigurationError`` if it cannot be imported for that reason.
    """
    mixed = mixed_install()
    try:
        import kafka
    except Exception as error:
        if mixed:
            raise ConfigurationError(mixed) from error
        raise
    if mixed:
        logger.warning("telemetry: %s", mixed)
    return kafka


def mixed_install() -> str | None:
    """Return what is wrong, and what mends it, where two distributions share the module; None if they do not."""
    found = []
    for name in _OWNERS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return None
    return (
        f"{' and '.join(found)} are both installed, and pip has mixed their files in the module kafka. Either keep one:"
        f" pip uninstall -y {' '.join(_OWNERS)} && pip install {_OWNERS[0]} (or {_OWNERS[1]}), or have two modules:"
        " pip install 'flowise-telemetry[librdkafka]' and FLOWISE_TELEMETRY_CLIENT=librdkafka"
    )
