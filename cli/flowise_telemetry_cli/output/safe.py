"""The one way that text gets to the terminal."""

from __future__ import annotations

import click

from flowise_telemetry_schemas.printable import printable_lines

__all__ = ["echo"]


def echo(message: object = "", *, err: bool = False) -> None:
    """Print text, to stderr with ``err``. What a forged record or a broker put into it cannot control the terminal."""
    click.echo(printable_lines(str(message)), err=err)
