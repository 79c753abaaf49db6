"""One run of the command line: the commands that were typed, the connection, and the factories of Kafka clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

import flowise_telemetry_transport as transport
from flowise_telemetry_schemas import catalog

if TYPE_CHECKING:
    from flowise_telemetry_consumer.clock import Clock
    from flowise_telemetry_schemas import Catalog
    from flowise_telemetry_schemas.own_events import OwnEvents
    from flowise_telemetry_transport import RecordReader, RecordWriter, TopicAdmin

__all__ = ["Invocation", "pass_invocation"]


@dataclass(slots=True)
class Invocation:
    """The click context's object. Every command opens its Kafka clients here, so that a test can replace them.

    ``connection``: the environment variables that the connection options set. ``log_level``: that of ``--log-level``,
    if it was given. ``commands``: the commands that were
    typed, outermost first. ``clock``: None is the system's. ``own_events``: those of ``--schemas``, None without it.
    """

    open_reader: Callable[..., RecordReader] = transport.open_reader
    open_writer: Callable[..., RecordWriter] = transport.open_writer
    open_admin: Callable[..., TopicAdmin] = transport.open_admin
    clock: Clock | None = None
    connection: dict[str, str] = field(default_factory=dict)
    log_level: str | None = None
    commands: list[click.Command] = field(default_factory=list)
    own_events: OwnEvents | None = None

    @property
    def catalog(self) -> Catalog:
        """The schemas of all events that this run knows."""
        return catalog() if self.own_events is None else self.own_events.catalog


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
"""Decorate a command so that its first argument is the ``Invocation``."""
