"""Events that an app brings itself: a folder beside the one that this package ships, in a namespace of its own.

The folder holds ``<event>/v<version>.avsc`` and ``<event>/event.toml``, as the shipped one does, and may hold
``node_types.txt``, the app's own node types. It is data: nothing in it is run.
"""

from __future__ import annotations

import contextlib
import keyword
import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from flowise_telemetry_schemas.catalog import MAX_NAME_CHARACTERS, Catalog, catalog, is_event_name
from flowise_telemetry_schemas.check import problems
from flowise_telemetry_schemas.consistency import type_problems
from flowise_telemetry_schemas.constraints import value_violations
from flowise_telemetry_schemas.envelope import STREAM_STATE
from flowise_telemetry_schemas.errors import ConfigurationError, SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.field import Field, all_fields, flatten
from flowise_telemetry_schemas.flow_graph import HAND_WRITTEN
from flowise_telemetry_schemas.node_types import node_types_in, own_node_types
from flowise_telemetry_schemas.problem import Problem
from flowise_telemetry_schemas.released import Released, read_list, released_problems
from flowise_telemetry_schemas.terms import terms_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    Place = str | os.PathLike[str] | Traversable

__all__ = [
    "ENTRY_POINT",
    "GROUP",
    "NODE_TYPES_FILE",
    "OwnEvent",
    "OwnEvents",
    "folder_of",
    "own_problems",
    "read_own_events",
]

GROUP = "flowise_telemetry.schemas"
"""The group of the entry points of packages that bring events; the value of each is a package that holds the folder."""

ENTRY_POINT = "entry-point:"
"""What stands before the name of an entry point, in place of the path of a folder."""

NODE_TYPES_FILE = "node_types.txt"

_ARGUMENT = "schemas"
_SINKS_OWN = "flowise_telemetry_"  # the beginning of the names of tables that are no event's
_DATABASES_OWN_TABLES = ("_pkey", "_idx")  # the ends of the names of indexes, which PostgreSQL keeps among the tables
_SINKS_OWN_VIEWS = frozenset({"all_events", "nodes", "edges", "streams", "flows", "dead_letters"})
# "date" is that by which a Delta lake is partitioned; the others are in every table of some database.
_SINKS_OWN_COLUMNS = frozenset({"date", "rowid", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})
_GENERATED = frozenset({"Any", "ClassVar", "Event", "StrEnum"})  # names that the generated module has already
_ATTRIBUTES = frozenset({"properties", "bool", "dict", "int", "str", "tuple"})  # that its class has, or is annotated by


class OwnEvent(Protocol):
    """An event of an app's own: an object of a class that ``schemas generate`` made.

    ``EVENT`` is its name, ``TYPES`` are the classes of its nested records and enums by their Avro name.
    """

    EVENT: ClassVar[str]
    TYPES: ClassVar[dict[str, Any]]

    @property
    def version(self) -> str | None:
        """The version of the app, or None to have it filled in."""

    def properties(self) -> dict[str, Any]:
        """Return the event's own fields in wire form."""


@dataclass(frozen=True, slots=True)
class OwnEvents:
    """Events of an app's own, as their folder has them.

    ``schemas`` are theirs alone, ``catalog`` has the shipped ones too. ``node_types`` leave as they are, in whichever
    event. ``released`` is their list of released files, by name.
    """

    place: str
    schemas: Catalog
    node_types: frozenset[str] = frozenset()
    released: Mapping[str, Released] = dataclass_field(default_factory=dict)
    catalog: Catalog = dataclass_field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", catalog().joined(self.schemas))

    @property
    def namespace(self) -> str:
        """The namespace that they share."""
        return next(iter(self.schemas)).namespace

    def retired_from_ms(self) -> dict[str, int]:
        """Return since when events whose end is a day are not sent, in milliseconds since 1970."""
        ends = {event: terms_of(self.schemas, event).retired_from_ms("0.0.0") for event in self.schemas.events}
        return {event: end for event, end in ends.items() if end is not None}


def read_own_events(place: Place) -> OwnEvents:
    """Return the events of a folder: its path, the folder of an installed package, or ``entry-point:NAME``.

    Raises ``ConfigurationError`` for a folder that ``schemas check`` would refuse. Only what has expired since it was
    checked is no reason: a consumer still reads such events, and a producer does not send them.
    """
    folder = folder_of(place)
    shown = str(place)
    try:
        schemas = Catalog.load(folder)
        listed = read_list(folder)
        found = [*problems(schemas), *own_problems(schemas), *released_problems(schemas, listed)]
        found += list(_without_terms(schemas))
        types = folder / NODE_TYPES_FILE
        named = node_types_in(types.read_text(encoding="utf-8")) if types.is_file() else ()
        kinds = own_node_types(named)
    except OSError as error:
        raise ConfigurationError(f"{shown} cannot be read: {error.strerror}", argument=_ARGUMENT) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown}: {NODE_TYPES_FILE} is not UTF-8 text", argument=_ARGUMENT) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{shown}: {NODE_TYPES_FILE}: {error.message}", argument=_ARGUMENT) from error
    except SchemaError as error:
        raise ConfigurationError(f"{shown}: {error.message}", argument=_ARGUMENT) from error
    except Exception as error:  # JSON of any shape may stand where a schema should: it is no reason for an app to end
        reason = f"cannot be read ({type(error).__name__}): run schemas check on it"
        raise ConfigurationError(f"{shown}: {reason}", argument=_ARGUMENT) from error
    if not schemas.names:
        raise ConfigurationError(f"{shown} holds no <event>/v1.avsc", argument=_ARGUMENT)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigurationError(f"{shown}: {found[0]}{more}: run schemas check on it", argument=_ARGUMENT)
    return OwnEvents(shown, schemas, kinds, listed)


def folder_of(place: Place) -> Traversable | Path:
    """Return the folder that a place is. Raises ``ConfigurationError`` for an entry point that there is not."""
    if isinstance(place, str) and place.startswith(ENTRY_POINT):
        return _of_package(place.removeprefix(ENTRY_POINT))
    return Path(place) if isinstance(place, str | os.PathLike) else place


def _of_package(name: str) -> Traversable:
    from importlib.metadata import entry_points
    from importlib.resources import files

    points = sorted({point.value for point in entry_points(group=GROUP, name=name)})
    if len(points) != 1:
        known = sorted({point.name for point in entry_points(group=GROUP)})
        there = f"there are: {', '.join(known)}" if known else "no installed package has one"
        what = "is of several packages: uninstall all but one" if points else f"is no entry point of {GROUP}; {there}"
        raise ConfigurationError(f"{ENTRY_POINT}{name} {what}", argument=_ARGUMENT)
    try:
        return files(points[0])
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"{ENTRY_POINT}{name} cannot be loaded: {reason}", argument=_ARGUMENT) from error


def own_problems(schemas: Catalog) -> list[Problem]:
    """Return what keeps a catalog from standing beside the shipped one; ``check.problems`` are taken as told."""
    found = [problem for event in schemas.names for problem in _event_problems(schemas, event)]
    shipped, own = catalog(), [schemas.latest(event) for event in schemas.names]
    together = [*map(shipped.latest, shipped.names), *own]
    shared = ((f"{each.event} v{each.version}", [*_shared(each.fields)]) for each in together)
    return [*found, *type_problems(shared)]


def _shared(fields: tuple[Field, ...]) -> Iterator[Field]:
    return (field for field in all_fields(fields) if field.type_name in HAND_WRITTEN)


def _event_problems(schemas: Catalog, event: str) -> Iterator[Problem]:
    newest = schemas.latest(event)
    if not newest.is_own:
        mend = "take one of your own, such as com.example.app"
        yield Problem(event, f"its namespace is {newest.namespace}, that of the shipped events: {mend}")
    if event in catalog().names:
        yield Problem(event, "has the name of a shipped event")
    if not is_event_name(event) or event.startswith(_SINKS_OWN):
        limits = f"of at most {MAX_NAME_CHARACTERS} characters, and does not begin with {_SINKS_OWN}"
        yield Problem(event, f"an event's name is snake_case, {limits}")
    if event.endswith(_DATABASES_OWN_TABLES):
        ends = " or ".join(_DATABASES_OWN_TABLES)
        yield Problem(event, f"an event's name does not end with {ends}: PostgreSQL calls indexes so")
    if event in _SINKS_OWN_VIEWS:
        yield Problem(event, "sinks have a view of this name")
    for field in newest.fields:
        if field.column in _SINKS_OWN_COLUMNS:
            yield Problem(f"{event}: {field.name}", "sinks have a column of this name in every table")
    with contextlib.suppress(SchemaError):  # without terms, which is told apart
        if isinstance(terms_of(schemas, event).expires, str):
            yield Problem(event, "expires must be a day: a release is one of flowise-telemetry, not of your app")
    yield from _unspoken(newest)
    yield from _python_problems(newest, {schemas.latest(each).name for each in schemas.names})


def _unspoken(schema: EventSchema) -> Iterator[Problem]:
    """Yield the names that ``stream_state`` could not tell, should a value be withheld: it would be lost as a whole."""
    spoken = next(each for each in catalog().latest(STREAM_STATE).fields if each.name == "withheld").items
    fits = {each.name: each for each in spoken.fields} if spoken is not None else {}
    paths = (path.replace("[]", "") for top in schema.fields for path, _ in flatten(top))
    for kind, names in (("event", (schema.event,)), ("field", paths)):
        for name in names:
            if value_violations(fits[kind], name):
                shape = f"{fits[kind].pattern}, at most {fits[kind].max_length} characters"
                yield Problem(schema.event, f"{STREAM_STATE} could not name {name}: it takes {shape}")


def _python_problems(schema: EventSchema, events: Set[str]) -> Iterator[Problem]:
    """Yield what its class could not be called."""
    types = {str(field.type_name) for field in all_fields(schema.fields) if field.type_name}
    for name in sorted(types & events):
        yield Problem(schema.event, f"the type {name} has the name of an event's class")
    for name in sorted({schema.name, *types}):
        if keyword.iskeyword(name) or name in _GENERATED:
            yield Problem(schema.event, f"no class can be called {name}")
    for field in all_fields(schema.fields):
        if keyword.iskeyword(field.column) or field.column in _ATTRIBUTES:
            yield Problem(f"{schema.event}: {field.name}", "no attribute of a class can be called so")


def _without_terms(schemas: Catalog) -> Iterator[Problem]:
    for event in schemas.names:
        try:
            terms_of(schemas, event)
        except SchemaError as error:
            yield Problem(event, error.message.removeprefix(f"{event}/"))
