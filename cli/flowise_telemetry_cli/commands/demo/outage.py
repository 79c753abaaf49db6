"""Step 3: a broker stops, the app is killed, another broker comes, and nothing is lost."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from flowise_telemetry_cli.commands.demo.app_process import AppProcess
from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.commands.demo.pipeline import settings_for
from flowise_telemetry_cli.options import CLOSE_SECONDS
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer import replay
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import EmbeddedBroker, open_reader
from flowise_telemetry_transport.topics import EVENTS_TOPIC

__all__ = ["TITLE", "show_that_nothing_is_lost"]

TITLE = "A broker stops, and nothing is lost"

_EVENTS = 500


def show_that_nothing_is_lost(narration: Narration) -> None:
    """Stop the broker and kill the app in between, and count."""
    narration.begin(
        TITLE,
        done=f"an app sends {_EVENTS} events, the broker stops, the app sends {_EVENTS} more, and is killed (kill -9: "
        "it gets no chance to tidy up) before any broker answers. Then a new broker starts, and the app again.",
        look="the two numbers at the end: accepted and written.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, accepted = _outage(folder)
        written = _written(folder)
    narration.show(table(("what happens", "events"), rows))
    once = len(written)
    narration.go_on(
        "Accepted means: the app was told that they are on its disk, in the spool, a file that keeps events until a "
        "broker has them (FLOWISE_TELEMETRY_SPOOL_DIR; without it they are kept in memory alone). This broker has no "
        "disk, so what it had was read into the table before it stopped; a real one keeps its records."
    )
    twice = sum(written.values()) - once
    expected = "accepted {:,} = written {:,}, {} twice"
    narration.compare(expected.format(2 * _EVENTS, 2 * _EVENTS, 0), expected.format(accepted, once, twice))


def _outage(folder: Path) -> tuple[list[tuple[str, str]], int]:
    rows: list[tuple[str, str]] = []
    with ExitStack() as opened:
        broker = opened.enter_context(EmbeddedBroker())
        app = opened.enter_context(_app(folder, broker))
        app.ask(f"send {_EVENTS} 0")
        seen = app.ask("flush")
        rows.append(("the app sends; the broker has acknowledged", f"{seen['sent']:,}"))
        _read(broker, folder)
        broker.stop()
        rows.append(("the broker stops", ""))
        app.ask(f"send {_EVENTS} {_EVENTS}")
        seen = app.ask("keep")
        rows.append(("the app sends more; on its disk, waiting", f"{seen['on_disk']:,}"))
        accepted = seen["sent"] + seen["on_disk"]
        app.kill()
        rows.append(("the app is killed", ""))
    with EmbeddedBroker() as broker, _app(folder, broker) as app:
        rows.append(("a new broker starts, and the app again", ""))
        seen = app.ask("deliver")
        rows.append(("found on its disk, and acknowledged", f"{seen['sent']:,}"))
        app.end()
        _read(broker, folder)
    return rows, accepted


def _app(folder: Path, broker: EmbeddedBroker) -> AppProcess:
    broker.ensure_topic(EVENTS_TOPIC)
    (servers,) = broker.bootstrap_servers
    return AppProcess(folder, servers, EVENTS_TOPIC)


def _read(broker: EmbeddedBroker, folder: Path) -> None:
    """Write everything that this broker has into the table."""
    reader = open_reader(settings_for(broker))
    try:
        with closing(open_sink(f"sqlite:///{folder}/events.db")) as sink:
            replay(reader, sink, catalog(), EVENTS_TOPIC, restart=True)
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)


def _written(folder: Path) -> dict[str, int]:
    """Return how often each event is in the table, by the id that the app gave its tool."""
    with closing(sqlite3.connect(folder / "events.db")) as db:
        return dict(db.execute("select tool_id, count(*) from tool_created group by tool_id"))
