"""Settings as they are in effect, with the place that each came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_schemas import Catalog, ConfigurationError
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok
from flowise_telemetry_transport.masking import MASK, is_secret_name, mask_endpoint, mask_servers
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings

__all__ = ["PREFIX", "look_at_named_registry", "look_at_settings"]

PREFIX = "FLOWISE_TELEMETRY_"
_REGISTRY_SECONDS = 10.0


def look_at_settings(settings: Mapping[str, str], origin_of: Callable[[str], str]) -> Iterator[Finding]:
    """Yield each variable of the connection that is set, without what is secret, and where it came from."""
    for name in sorted(settings):
        if settings[name].strip():
            yield ok("setting", f"{name}={_shown(name, settings[name])} ({origin_of(name)})")


def look_at_named_registry(course: Course, environ: Mapping[str, str], topic: str, schemas: Catalog) -> None:
    """Look at the schema registry that the settings name, if they name one."""
    try:
        settings = RegistrySettings.from_env(environ)
    except ConfigurationError as error:
        course.add([failed("schema registry", error)])
        return
    if settings is None:
        return
    from flowise_telemetry_transport.schema_registry.look import look_at_registry

    course.take(
        "schema registry",
        _REGISTRY_SECONDS,
        lambda seconds: look_at_registry(settings, topic, list(schemas), seconds=seconds),
    )


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
