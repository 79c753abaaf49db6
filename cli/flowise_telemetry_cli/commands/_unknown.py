"""Tables of events that a command was not told of: it leaves them alone, which is to be seen."""

from __future__ import annotations

from collections.abc import Sequence

from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_consumer.sinks import KnowsEvents

__all__ = ["unknown_tables", "warn_of"]


def unknown_tables(sink: object) -> Sequence[str]:
    """Return the tables of events of no known kind; none where the sink cannot tell."""
    return sink.unknown_tables() if isinstance(sink, KnowsEvents) else ()


def warn_of(tables: Sequence[str], left: str) -> None:
    """Print what was ``left`` undone in these tables, and what mends it."""
    if tables:
        names = ", ".join(tables)
        echo(
            f"warning: {left} {names}, as no schema here is of them: name the folder of these events, --schemas",
            err=True,
        )
