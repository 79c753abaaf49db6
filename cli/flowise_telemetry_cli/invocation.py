"""One run of the command line: the commands that were typed, the connection, and the factories of Kafka clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

import flowise_telemetry_transport as transport

if TYPE_CHECKING:
    from flowise_telemetry_consumer.clock import Clock
    from flowise_telemetry_transport import RecordReader, RecordWriter, TopicAdmin

__all__ = ["Invocation", "pass_invocation"]


@dataclass(slots=True)
class Invocation:
    """The click context's object. Every command opens its Kafka clients here, so that a test can replace them.

    ``connection``: the environment variables that the connection options set. ``log_level``: that of ``--log-level``,
    if it was given. ``commands``: the commands that were
    typed, outermost first. ``clock``: None is the system's.
    """

    open_reader: Callable[..., RecordReader] = transport.open_reader
    open_writer: Callable[..., RecordWriter] = transport.open_writer
    open_admin: Callable[..., TopicAdmin] = transport.open_admin
    clock: Clock | None = None
    connection: dict[str, str] = field(default_factory=dict)
    log_level: str | None = None
    commands: list[click.Command] = field(default_factory=list)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
"""Decorate a command so that its first argument is the ``Invocation``."""
