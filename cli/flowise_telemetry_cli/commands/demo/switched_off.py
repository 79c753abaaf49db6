"""Step 2: the example app with telemetry off, next to the same app with telemetry on."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry_cli.commands.demo.app_process import AppProcess, Seen
from flowise_telemetry_cli.commands.demo.narration import Narration
from flowise_telemetry_cli.commands.demo.pipeline import settings_for
from flowise_telemetry_cli.options import CLOSE_SECONDS
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_transport import EmbeddedBroker, open_reader

__all__ = ["TITLE", "show_that_off_is_off"]

TITLE = "Switched off, and shown to be off"

_CALLS = 100
_EXPECTED = "on, {} events arrived; off, {} of telemetry, {} records arrived"


@dataclass(frozen=True, slots=True)
class _Run:
    """One run: what the app saw of itself, records that the broker got, files in the app's folders."""

    seen: Seen
    records: int
    files: int

    @property
    def is_nothing(self) -> bool:
        """Whether there is no trace of telemetry."""
        return not (self.seen["threads"] or self.seen["kafka_clients"] or self.files)


def show_that_off_is_off(narration: Narration) -> None:
    """Run the app both ways and compare."""
    narration.begin(
        TITLE,
        done=f"a small app runs twice, as a process of its own, and calls send_telemetry {_CALLS} times: first as it "
        "is, then with DISABLE_FLOWISE_TELEMETRY=true. Each process then looks at itself.",
        look='the column "off". The column "on" shows that the same look would find something.',
    )
    with EmbeddedBroker() as broker:
        on = _run(broker, "demo.on", {})
        off = _run(broker, "demo.off", {"DISABLE_FLOWISE_TELEMETRY": "true"})
    narration.show(
        table(
            ("", "on", "off"),
            [
                ("calls of send_telemetry", str(_CALLS), str(_CALLS)),
                ("threads beside the main one", *(_count(len(run.seen["threads"])) for run in (on, off))),
                ("Kafka clients imported", *(", ".join(run.seen["kafka_clients"]) or "none" for run in (on, off))),
                ("files made", *(_count(run.files) for run in (on, off))),
                ("records that the broker got", *(_count(run.records) for run in (on, off))),
            ],
        )
    )
    if on.records == _CALLS + 1:
        narration.go_on("The one record more is no event: in it the app tells how many events it sent.")
    narration.go_on(
        "This is what the app sees of itself: its threads, its modules, its folders. It does not show what it asked of "
        "the operating system. A test watches that from outside (no socket, no file, no thread) by strace, a program "
        f"that lists such calls and {_strace()}. In a checkout:"
    )
    narration.show('make test ARGS="-k seen_by_strace"')
    found = (on.seen["sent"], "no trace" if off.is_nothing else "a trace", off.records)
    narration.compare(_EXPECTED.format(_CALLS, "no trace", 0), _EXPECTED.format(*found))


def _run(broker: EmbeddedBroker, topic: str, settings: dict[str, str]) -> _Run:
    broker.ensure_topic(topic)
    (servers,) = broker.bootstrap_servers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with AppProcess(folder, servers, topic, settings) as app:
            app.ask(f"send {_CALLS} 0")
            seen = app.ask("flush")
            files = [file for place in ("config", "spool") for file in (folder / place).rglob("*") if file.is_file()]
            app.end()
    return _Run(seen, _records(broker, topic), len(files))


def _records(broker: EmbeddedBroker, topic: str) -> int:
    reader = open_reader(settings_for(broker))
    try:
        return sum(reader.end_offsets(reader.partitions_of(topic)).values())
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)


def _count(number: int) -> str:
    return str(number or "none")


def _strace() -> str:
    return "is installed here" if shutil.which("strace") else "is not installed here"
