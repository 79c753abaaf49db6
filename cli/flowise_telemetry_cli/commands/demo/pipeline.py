"""The pipeline of the first step: the app on a thread, and the consumer."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry import Telemetry
from flowise_telemetry_cli.commands.demo.app import APP_VERSION, example_events
from flowise_telemetry_cli.commands.demo.malformed import malformed_records
from flowise_telemetry_cli.options import CLOSE_SECONDS
from flowise_telemetry_cli.output.progress import ProgressDisplay, Status
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_consumer import (
    Consumer,
    ConsumerCounters,
    ConsumerSettings,
    DeadLetterSummary,
    list_dead_letters,
    open_dead_letter_writer,
)
from flowise_telemetry_consumer.service.settings import dead_letter_topic_of
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import EmbeddedBroker, KafkaSettings, open_reader, open_writer
from flowise_telemetry_transport.topics import EVENTS_TOPIC

__all__ = ["PipelineRun", "run_pipeline", "settings_for"]

FLUSH_EVERY_EVENTS = 1_000
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """Outcome of a run: events sent by name, what the consumer counted, and the dead letters.

    ``done``: everything was consumed; False after a signal, or where it took too long.
    """

    sent: Counter[str]
    counters: ConsumerCounters
    letters: DeadLetterSummary
    seconds: float
    done: bool


def settings_for(broker: EmbeddedBroker) -> KafkaSettings:
    """Return the settings of a client: kafka-python, as the other waits in vain for the id of the broker's topics."""
    return KafkaSettings(bootstrap_servers=broker.bootstrap_servers, client="kafka-python")


def run_pipeline(broker: EmbeddedBroker, events: int, database: Path) -> PipelineRun:
    """Send that many events, and some malformed records, and consume them into the SQLite file."""
    begun = time.monotonic()
    for topic in (EVENTS_TOPIC, dead_letter_topic_of(EVENTS_TOPIC)):
        broker.ensure_topic(topic)
    echo(f"embedded Kafka broker at {broker.bootstrap_servers[0]}", err=True)
    settings = settings_for(broker)
    with stopped_by_signals() as stop:
        app = _App(settings, events, stop)
        counters = _consume(settings, database, app, stop)
        letters = _dead_letters(settings)
    return PipelineRun(app.sent, counters, letters, time.monotonic() - begun, app.done)


class _App(threading.Thread):
    """The app, on its own thread; it stops the consumer once everything sent was consumed."""

    def __init__(self, settings: KafkaSettings, events: int, stop: threading.Event) -> None:
        super().__init__(name="demo-app")
        self._settings = settings
        self._events = events
        self._stop_consumer = stop
        self.consumed = 0
        self.told = 0
        self.sent: Counter[str] = Counter()
        self.malformed = 0
        self.done = False

    @property
    def records(self) -> int:
        """Upper bound of the events and malformed records on the topic by now."""
        return self.sent.total() + self.malformed

    def run(self) -> None:
        """Send everything, and wait until it is consumed."""
        try:
            self._send()
            deadline = time.monotonic() + WAIT_SECONDS
            while not self._is_consumed() and time.monotonic() < deadline and not self._stop_consumer.wait(0.05):
                pass
            self.done = self.consumed >= self.records
        finally:
            self._stop_consumer.set()

    def _is_consumed(self) -> bool:
        # The app tells its own counts last, in a record that is no event.
        return self.consumed >= self.records and bool(self.told)

    def _send(self) -> None:
        with (
            tempfile.TemporaryDirectory() as config,
            Telemetry(
                app_version=APP_VERSION,
                bootstrap_servers=self._settings.servers_text,
                topic=EVENTS_TOPIC,
                # Isolated from this machine: no opt-out, no .env, and the invented installation's secret is deleted.
                environ={"XDG_CONFIG_HOME": config},
                env_file=_empty_file(config),
                first_run_notice=False,
            ) as telemetry,
        ):
            for number, event in enumerate(example_events(self._events), start=1):
                telemetry.send_telemetry(event)
                self.sent[event.EVENT] += 1
                if number % FLUSH_EVERY_EVENTS == 0:
                    telemetry.flush(timeout_seconds=WAIT_SECONDS)
                if self._stop_consumer.is_set():
                    return
            telemetry.flush(timeout_seconds=WAIT_SECONDS)
        self.malformed = _send_malformed(self._settings)


def _empty_file(folder: str) -> Path:
    path = Path(folder) / "env"
    path.touch()
    return path


def _consume(settings: KafkaSettings, database: Path, app: _App, stop: threading.Event) -> ConsumerCounters:
    def status(counters: ConsumerCounters, _seconds: float) -> Status:
        return Status(f"sent {app.records:,}, consumed {counters.consumed:,} records")

    def on_change(counters: ConsumerCounters) -> None:
        display.show(counters)
        app.told = counters.control.total()
        app.consumed = counters.consumed - app.told

    with ExitStack() as opened:
        display = opened.enter_context(ProgressDisplay(status))
        sink = open_sink(f"sqlite:///{database}")
        opened.callback(sink.close)
        reader = open_reader(settings, group="demo")
        opened.callback(reader.close, timeout_seconds=CLOSE_SECONDS)
        writer = open_dead_letter_writer(settings)
        opened.callback(writer.close, timeout_seconds=CLOSE_SECONDS)
        consumer = Consumer(
            reader,
            sink,
            writer,
            catalog(),
            ConsumerSettings(topic=EVENTS_TOPIC, group="demo"),
            on_change=on_change,
        )
        app.start()
        try:
            return consumer.run(stop)
        finally:
            stop.set()
            app.join()


def _send_malformed(settings: KafkaSettings) -> int:
    writer = open_writer(settings)
    records = malformed_records(EVENTS_TOPIC)
    for record in records:
        writer.send(record, lambda _delivery, _error: None)
    writer.flush(timeout_seconds=CLOSE_SECONDS)
    writer.close(timeout_seconds=CLOSE_SECONDS)
    return len(records)


def _dead_letters(settings: KafkaSettings) -> DeadLetterSummary:
    reader = open_reader(settings)
    try:
        return list_dead_letters(reader, dead_letter_topic_of(EVENTS_TOPIC))
    finally:
        reader.close(timeout_seconds=CLOSE_SECONDS)
