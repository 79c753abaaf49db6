"""Events of the app's own, as one ``Telemetry`` sees them: which they are, how large, when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.events import EVENT_CLASSES, RETIRED_FROM_MS
from flowise_telemetry_schemas.flow_graph import FlowGraph

if TYPE_CHECKING:
    from flowise_telemetry_schemas.catalog import Catalog
    from flowise_telemetry_schemas.field import Field
    from flowise_telemetry_schemas.own_events import OwnEvents, Place

__all__ = ["AppEvents", "name_of_own"]

_SHIPPED = tuple(EVENT_CLASSES.values())
_EVENT_BYTES = 1_024
_OBJECT_BYTES = 64


def name_of_own(event: object, schemas: Catalog) -> str | None:
    """Return the name of an event that ``schemas`` has and this package does not ship; None for anything else.

    Raises what an object raises that lies about its class.
    """
    name = getattr(type(event), "EVENT", None)
    if type(name) is not str or isinstance(event, _SHIPPED) or name not in schemas.events:
        return None
    return name if schemas.latest(name).is_own else None


class AppEvents:
    """Events that are sent beside the shipped ones. ``schemas`` are those of both."""

    def __init__(self, own: OwnEvents) -> None:
        self.schemas = own.catalog
        self.node_types = own.node_types
        self.namespace = own.namespace
        self.disclosure = own.schemas.disclosure
        self.names = own.schemas.events
        self.retired_from_ms = {**RETIRED_FROM_MS, **own.retired_from_ms()}

    @classmethod
    def read(cls, place: Place) -> AppEvents:
        """Return the events of a folder. Raises ``ConfigurationError`` for one that is not to be used."""
        from flowise_telemetry_schemas.own_events import read_own_events

        return cls(read_own_events(place))

    def bytes_of(self, event: Any) -> int | None:
        """Return the most memory that a valid event of this shape can take; None for what is no event of the app's own.

        Reads no string. Raises ``ValidationError`` where an array is no tuple: it could change before it is encoded.
        """
        try:
            name = name_of_own(event, self.schemas)
            if name is None:
                return None
            fields = self.schemas.latest(name).fields
            return _EVENT_BYTES + sum(_bytes(each, getattr(event, each.column, None), each.name) for each in fields)
        except ValidationError as error:
            raise ValidationError(error.message, event=name, field=error.field, rule=error.rule) from None
        except Exception as error:
            # The text of an error that is not ours may hold a value.
            raise ValidationError(type(error).__name__, event=None, field=None, rule="type") from None


def _bytes(field: Field, value: Any, path: str) -> int:
    match field.kind:
        case "string" | "uuid":
            return _OBJECT_BYTES + (field.max_length or 0)
        case "array" if field.items is not None:
            if type(value) is not tuple:
                raise ValidationError(f"{path}: must be a tuple", event=None, field=path, rule="type")
            items = field.items
            if _has_array(items):
                return sum(_bytes(items, item, path) for item in value)
            return _bytes(items, None, path) * len(value)
        case "record":
            if field.type_name == "FlowGraph" and type(value) is not FlowGraph:
                raise ValidationError(f"{path}: must be a FlowGraph", event=None, field=path, rule="type")
            below = ((each, getattr(value, each.column, None)) for each in field.fields)
            return _OBJECT_BYTES + sum(_bytes(each, its, f"{path}.{each.name}") for each, its in below)
    return _OBJECT_BYTES


def _has_array(field: Field) -> bool:
    return field.kind == "array" or any(map(_has_array, field.fields))
