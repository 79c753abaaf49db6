"""Settings as they are in effect, with the place that each came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.diagnosis.finding import Finding, ok
from flowise_telemetry_transport.masking import MASK, is_secret_name, mask_endpoint, mask_servers
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings

__all__ = ["PREFIX", "look_at_settings"]

PREFIX = "FLOWISE_TELEMETRY_"


def look_at_settings(settings: Mapping[str, str], origin_of: Callable[[str], str]) -> Iterator[Finding]:
    """Yield each variable of the connection that is set, without what is secret, and where it came from."""
    for name in sorted(settings):
        if settings[name].strip():
            yield ok("setting", f"{name}={_shown(name, settings[name])} ({origin_of(name)})")


def _shown(name: str, text: str) -> str:
    own = name.removeprefix(PREFIX)
    if own == "BOOTSTRAP_SERVERS":
        return mask_servers(text)
    if own == "ENDPOINT":
        return mask_endpoint(text)
    if own == "SCHEMA_REGISTRY_URL":
        try:
            return RegistrySettings(url=text).shown_url
        except ConfigurationError:
            return MASK
    secret = own == "SCHEMA_REGISTRY_USER_INFO" or is_secret_name(own.lower().replace(".", "_").replace("-", "_"))
    return MASK if secret else text
