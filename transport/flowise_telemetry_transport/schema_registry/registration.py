"""Schemas of a catalog as versions of subjects: registered once, compatible with all before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.event_schema import EventSchema
from flowise_telemetry_schemas.problem import Problem
from flowise_telemetry_transport.schema_registry.errors import RegistryConflictError
from flowise_telemetry_transport.schema_registry.registry import COMPATIBILITY, Registry
from flowise_telemetry_transport.schema_registry.subjects import schema_json, subject_of

__all__ = ["Registered", "register_schemas", "registry_problems"]

_SUFFICES = (COMPATIBILITY, "FULL_TRANSITIVE")
"""What a subject may be set to: the second lets pass less than we ask for, which is for its operator to say."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema in its subject; ``schema_id`` is None if the registry refuses it, and then ``refusal`` says why."""

    schema: EventSchema
    subject: str
    schema_id: int | None
    is_new: bool = False
    refusal: str | None = None


def register_schemas(registry: Registry, catalog: Catalog, topic: str) -> Iterator[Registered]:
    """Register every version of every event, in order, and have each subject demand ``BACKWARD_TRANSITIVE`` at least.

    What is there already stays as it is. One that the registry refuses does not keep it from the others. Raises the
    registry's other errors; the same call again goes on where it ended.
    """
    for schema in catalog:
        subject, text = subject_of(topic, schema), schema_json(schema)
        try:
            found = registry.id_of(subject, text)
        except SchemaError:
            try:
                _demand(registry, subject)
                number = registry.register(subject, text)
                _demand(registry, subject)
            except RegistryConflictError as error:
                yield Registered(schema, subject, None, refusal=error.message)
            else:
                yield Registered(schema, subject, number, is_new=True)
        else:
            _demand(registry, subject)
            yield Registered(schema, subject, found)


def _demand(registry: Registry, subject: str) -> None:
    if registry.compatibility(subject) in _SUFFICES:
        return
    try:
        registry.set_compatibility(subject)
    except SchemaError:  # some registries have no setting for a subject that is not there yet
        return


def registry_problems(registry: Registry, catalog: Catalog, topic: str) -> list[Problem]:
    """Return how a registry differs from the catalog: what is missing, what it would refuse, what it lets pass."""
    found = []
    for schema in catalog:
        subject, text = subject_of(topic, schema), schema_json(schema)
        where = f"{schema.event} v{schema.version}"
        try:
            registry.id_of(subject, text)
        except SchemaError:
            found.append(Problem(where, _missing(registry, subject, text)))
    for subject in dict.fromkeys(subject_of(topic, schema) for schema in catalog):
        level = registry.compatibility(subject)
        if level not in _SUFFICES:
            now = "has no compatibility of its own" if level is None else f"lets pass what is {level}"
            found.append(Problem(subject, f"{now}, and not {COMPATIBILITY} alone; schemas register sets it"))
    return found


def _missing(registry: Registry, subject: str, text: str) -> str:
    try:
        fits = registry.is_compatible(subject, text)
    except SchemaError:
        fits = True  # there is no such subject
    if fits:
        return f"is not in the registry's subject {subject}; schemas register adds it"
    return f"is not in the registry's subject {subject}, whose versions it is not compatible with"
