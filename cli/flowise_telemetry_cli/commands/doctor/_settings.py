"""Settings as they are in effect, with the place that each came from."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from flowise_telemetry import environment
from flowise_telemetry_cli import commands
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.errors import TRACEBACK_VARIABLE
from flowise_telemetry_schemas import Catalog, ConfigurationError
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning
from flowise_telemetry_transport.masking import MASK, is_secret_name, mask_endpoint, mask_servers
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings

__all__ = ["PREFIX", "look_at_named_registry", "look_at_settings"]

PREFIX = environment.PREFIX
_VARIABLES = frozenset(
    {text for text in vars(environment).values() if isinstance(text, str) and text.startswith(environment.PREFIX)}
    - {environment.PREFIX}
    | {TRACEBACK_VARIABLE}
)
_GROUPS = ("KAFKA_", "SCHEMA_REGISTRY_")
_REGISTRY_SECONDS = 10.0


def look_at_settings(
    settings: Mapping[str, str], origin_of: Callable[[str], str], *, groups: tuple[str, ...] = ()
) -> Iterator[Finding]:
    """Yield each variable that is set, without what is secret, and where it came from.

    Those of other commands, which may hold a password anywhere, are left out but for ``groups``.
    """
    shown = tuple(PREFIX + group for group in (*_GROUPS, *groups))
    others = tuple(f"{PREFIX}{each.upper()}_" for each in _commands())
    for name in sorted(settings):
        if not settings[name].strip():
            continue
        if name in _VARIABLES or name.startswith(shown):
            yield ok("setting", f"{name}={_shown(name, settings[name])} ({origin_of(name)})")
        elif not name.startswith(others):
            meant = get_close_matches(name, _VARIABLES, n=1)
            mend = f"did you mean {meant[0]}?" if meant else "remove it"
            yield warning("setting", f"{name} ({origin_of(name)}) has no effect: nothing reads it", mend)


def _commands() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(commands.__path__) if not module.name.startswith("_")]


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
