"""The settings of producer, connection, consumer and gateway, with their defaults."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from types import ModuleType
from typing import Any

from docs.site.commands import contexts, option_rows
from docs.site.markdown import code, prose, table

from flowise_telemetry import Telemetry, environment
from flowise_telemetry.settings import Limits
from flowise_telemetry_cli.errors import PROGRAM
from flowise_telemetry_gateway.limits import GatewayLimits
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["settings_page", "variables_of"]

_SWITCHES = ("BOOTSTRAP_SERVERS", "CLIENT")
_OPTION_HEAD = ("option", "variable", "default", "")


def settings_page() -> str:
    """Return the page."""
    return "\n".join(
        [
            "# Every setting\n",
            "Made from the code. [The producer](../producer/README.md#settings) says which source overrides which, and"
            " [security](../security.md#settings-that-nobody-should-choose-for-you) what a found `.env` may not set.\n",
            "## Producer: environment\n",
            table(("variable", ""), ((code(name), prose(text)) for name, text in variables_of(environment))),
            "## Producer: arguments of `Telemetry`\n",
            prose(" ".join((Telemetry.__doc__ or "").split("\n\n")[2].split())) + "\n",
            table(("argument", "type", "default"), _arguments(Telemetry)),
            "## Producer: `Limits`\n",
            *_of_fields(Limits, ""),
            "## Connection to Kafka\n",
            "For the producer and all commands: `FLOWISE_TELEMETRY_KAFKA_` and the name in capitals, except servers and"
            " client. Any other setting of the Kafka client is given in the same way, or as `kafka={…}`. Variables of"
            " timeouts end in `_MS` and are milliseconds.\n",
            *_of_fields(KafkaSettings, environment.PREFIX + "KAFKA_"),
            "## Schema registry\n",
            *_of_fields(RegistrySettings, environment.PREFIX + "SCHEMA_REGISTRY_"),
            "## Consumer\n",
            table(_OPTION_HEAD, _options_of("consume")),
            "## Gateway\n",
            table(_OPTION_HEAD, _options_of("gateway")),
            "Bounds of a gateway that is made in Python (`GatewayLimits`):\n",
            *_of_fields(GatewayLimits, ""),
        ]
    )


def variables_of(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield name and description of the variables that a module names: constants with a docstring under them."""
    statements = ast.parse(inspect.getsource(module)).body
    for constant, description in pairwise(statements):
        match constant, description:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                value = getattr(module, name)
                if isinstance(value, str):
                    yield value, " ".join(text.split())


def _arguments(called: type) -> Iterator[tuple[str, str, str]]:
    for name, parameter in inspect.signature(called).parameters.items():
        default = "" if parameter.default is inspect.Parameter.empty else repr(parameter.default)
        yield code(name), code(str(parameter.annotation)), code(default)


def _of_fields(settings: Any, prefix: str) -> Iterator[str]:
    """Yield the description of a dataclass and the table of its fields."""
    for paragraph in inspect.cleandoc(settings.__doc__ or "").split("\n\n"):
        yield prose(" ".join(paragraph.split())) + "\n"
    rows = []
    for field in fields(settings):
        variable = "" if not prefix or field.name == "options" else prefix + field.name.upper()
        if prefix.endswith("KAFKA_") and field.name.endswith("_timeout_seconds"):
            variable = variable.removesuffix("SECONDS") + "MS"
        if field.name.upper() in _SWITCHES:
            variable = environment.PREFIX + field.name.upper()
        row = (code(field.name), code(str(field.type)), code(_default(field)))
        rows.append((*row, code(variable)) if prefix else row)
    yield table(("name", "type", "default", "variable") if prefix else ("name", "type", "default"), rows)


def _default(field: Field[Any]) -> str:
    return "" if field.default in (MISSING, "") else repr(field.default)


def _options_of(command: str) -> list[tuple[str, str, str, str]]:
    (context,) = (context for context in contexts() if context.command_path == f"{PROGRAM} {command}")
    return option_rows(context)
