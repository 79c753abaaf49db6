"""One trial: a topic, a sink, apps and consumers of its own, and the account of it in the end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from flowise_telemetry_consumer import SinkError
from flowise_telemetry_consumer.decoding.frames import wire_records
from flowise_telemetry_consumer.loss import loss_of
from flowise_telemetry_schemas import catalog, record_to_json
from flowise_telemetry_transport import ClientName, Record, TransportError, open_reader, open_writer
from flowise_telemetry_transport.types import Delivery, OutgoingRecord
from tests.chaos.checker import Acknowledged, Found, Sent, Verdict, check
from tests.chaos.processes import NO_ANSWER, App, ConsumerProcess, NotTriedError, TrialError, tail, wait_for
from tests.chaos.stage import SinkKind, Stage
from tests.cli.program import environment
from tests.consumer.sinks.roles import open_readable

__all__ = ["Trial"]


_BLOCK_BYTES = 4_096
_SMALL_DISK_BLOCKS = 2_048


@dataclass(slots=True)
class Trial:
    """What a scenario works on. Its moments and numbers come from ``random``, which its seed repeats."""

    stage: Stage
    client: ClientName
    folder: Path
    random: Random
    topic: str
    group: str = "chaos"
    sink_url: str = ""
    apps: list[App] = field(default_factory=list)
    consumers: list[ConsumerProcess] = field(default_factory=list)
    junk: set[bytes] = field(default_factory=set)
    expired_before: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _is_mounted: bool = False

    # -- what is tried --------------------------------------------------------------------------------------------

    def app(
        self,
        *,
        spool: bool = False,
        after: App | None = None,
        spool_folder: Path | None = None,
        clock_seconds: float = 0.0,
        buffer_max_events: int = 20_000,
    ) -> App:
        """Start an app; ``after`` another one, it runs in the same folder, and finds its spool."""
        folder = after.folder if after else self.folder / f"app-{len(self.apps)}"
        folder.mkdir(exist_ok=True)
        spool_folder = folder / "spool" if spool else spool_folder
        app = App(
            folder,
            self._environment(
                folder, **({"FLOWISE_TELEMETRY_SPOOL_DIR": str(spool_folder)} if spool_folder is not None else {})
            ),
            first=1_000_000 * len(self.apps),
            clock_seconds=clock_seconds,
            buffer_max_events=buffer_max_events,
        )
        self.apps.append(app)
        return app

    def consumer(self) -> ConsumerProcess:
        """Start a consumer."""
        log = self.folder / f"consumer-{len(self.consumers)}.log"
        consumer = ConsumerProcess(
            log, self._environment(self.folder), "--sink", self.sink_url, "--topic", self.topic, "--group", self.group
        )
        self.consumers.append(consumer)
        return consumer

    def ready_consumer(self) -> ConsumerProcess:
        """Start a consumer; return when it is ready."""
        consumer = self.consumer()
        self.until_ready(consumer)
        return consumer

    def until_ready(self, consumer: ConsumerProcess) -> None:
        """Wait until it is ready."""
        wait_for(lambda: self._up(consumer).ready() == "ok", "a consumer that is ready")

    def until_red(self, consumer: ConsumerProcess) -> None:
        """Wait until it is not ready; it has to count as alive all the while."""
        wait_for(lambda: self._up(consumer).ready() not in ("ok", NO_ANSWER), "a consumer that is not ready")
        why = consumer.ready()
        wait_for(lambda: self._up(consumer).alive() == "ok", "a consumer that is alive while it waits")
        self.notes.append(f"not ready: {why}")

    def until_said(self, consumer: ConsumerProcess, text: str) -> None:
        """Wait for a line of its log."""
        wait_for(lambda: self._up(consumer).says(text), f"a line with {text!r}")
        self.notes.append(f"a WARNING: {text}")

    def until_written(self, rows: int) -> None:
        """Wait until the sink has so many events."""
        wait_for(lambda: self._count() >= rows, f"{rows} events in the sink")

    def until_acknowledged(self, events: int) -> None:
        """Wait until Kafka has acknowledged so many events."""
        wait_for(lambda: len(self.sent().acknowledged) >= events, f"{events} acknowledged events")

    def until_committed(self) -> None:
        """Wait until the group has committed all that the topic has."""
        self._wait_for_the_end(wanted=0)

    def _up(self, consumer: ConsumerProcess) -> ConsumerProcess:
        if not consumer.is_up:
            raise TrialError(f"a consumer ended: {tail(consumer.log)}")
        return consumer

    def send_junk(self, count: int) -> None:
        """Send records that are no events."""
        writer = open_writer(self.stage.cluster.settings())
        failures: list[Exception] = []

        def landed(delivery: Delivery | None, error: Exception | None) -> None:
            del delivery
            if error is not None:
                failures.append(error)

        for _ in range(count):
            value = f"junk {len(self.junk)} {self.random.random()}".encode()
            self.junk.add(value)
            writer.send(OutgoingRecord(self.topic, value, value), landed)
        left = writer.flush(timeout_seconds=60)
        writer.close(timeout_seconds=10)
        if left or failures:
            raise TrialError(f"junk was not delivered: {failures or left}")

    def execute(self, statement: str) -> None:
        """Run a statement in the sink's database."""
        import psycopg

        with psycopg.connect(self.sink_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keep everyone from a table of the sink's database."""
        import psycopg

        with psycopg.connect(self.sink_url) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield

    @property
    def sink_folder(self) -> Path:
        """The folder of a sink on disk."""
        return self.folder / "sink"

    def fill(self, ballast: Path) -> None:
        """Write a file until the disk is full; raises ``TrialError`` where it is no small one."""
        with ballast.open("wb", buffering=0) as file:
            for _ in range(_SMALL_DISK_BLOCKS + 1):
                try:
                    file.write(bytes(_BLOCK_BYTES))
                except OSError:
                    return
        raise TrialError(f"{ballast.parent} is not full")

    def moment(self, high_seconds: float) -> None:
        """Let up to so much time pass, chosen by the seed: a fault comes at any moment."""
        time.sleep(self.random.uniform(0.0, high_seconds))

    def _environment(self, folder: Path, **more: str) -> dict[str, str]:
        return environment(
            folder,
            FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=self.stage.cluster.servers_behind_doors,
            FLOWISE_TELEMETRY_TOPIC=self.topic,
            FLOWISE_TELEMETRY_CLIENT=self.client,
            FLOWISE_TELEMETRY_IDS="plain",  # the account is kept by them
            FLOWISE_TELEMETRY_TOOL_NAMES="plain",
            FLOWISE_TELEMETRY_KAFKA_SESSION_TIMEOUT_MS="6000",
            **more,
        )

    # -- the account ----------------------------------------------------------------------------------------------

    def settle(self) -> Verdict:
        """Heal everything, let the apps end and the consumers finish; return the account."""
        self.stage.heal()
        for app in self.apps:
            if app.is_up:
                app.close()
        for consumer in self.consumers:
            if consumer.is_up:
                consumer.thaw()
        if not any(consumer.is_up for consumer in self.consumers):
            self.consumer()
        sent = self.sent()
        wanted = len(sent.acknowledged) - sum(
            landed.offset < self.expired_before.get(landed.partition, 0) for landed in sent.acknowledged.values()
        )
        try:
            self._wait_for_the_end(wanted)
        except TrialError as error:
            self.notes.append(str(error))  # the account says what is missing
        statuses = [consumer.terminate() for consumer in self.consumers if consumer.is_up]
        verdict = check(sent, self.found())
        if set(statuses) - {0, 3}:  # 3: records were left to the next owner, and the account says if one is missing
            raise TrialError(f"consumers ended with status {statuses}; {'; '.join(verdict.lines())}")
        return verdict

    def _wait_for_the_end(self, wanted: int) -> None:
        reader = open_reader(self.stage.cluster.settings(), group=self.group)

        def handled() -> bool:
            if not any(consumer.is_up for consumer in self.consumers):
                raise TrialError(f"no consumer is left: {tail(self.consumers[-1].log)}")
            try:
                ends = reader.end_offsets(reader.partitions_of(self.topic))
                committed = reader.committed(list(ends))
            except TransportError:
                return False
            return all((committed[tp] or 0) >= end for tp, end in ends.items()) and self._count() >= wanted

        try:
            wait_for(handled, "every record handled, every acknowledged event in the sink")
        finally:
            reader.close()

    def _count(self) -> int:
        sink = open_readable(self.sink_url)
        try:
            counts = sink.counts()
        except SinkError:  # it is away, or nobody has made it yet
            return 0
        finally:
            sink.close()
        return sum(counts[event] for event in catalog().events if event in counts)

    def sent(self) -> Sent:
        """Return what went in, up to now."""
        folders = {app.folder: app for app in self.apps}
        return Sent(
            offered=frozenset(number for app in folders.values() for number in app.offered()),
            acknowledged={
                entry.event_id: Acknowledged(entry.partition, entry.offset, entry.record)
                for app in folders.values()
                for entry in app.ledger()
                if entry.event in catalog().events and entry.partition is not None and entry.offset is not None
            },
            ended=dict(app.ended for app in self.apps if app.ended is not None),
            junk=frozenset(self.junk),
            expired_before=self.expired_before,
        )

    def found(self) -> Found:
        """Return what came out, up to now."""
        sink = open_readable(self.sink_url)
        try:
            rows = [
                record_to_json(schema, record)["properties"]
                for schema in map(catalog().latest, catalog().events)
                for frame in sink.read(schema.event)
                for record in wire_records(schema, frame)
            ]
            loss = loss_of(sink, now_ms=time.time_ns() // 1_000_000)
        finally:
            sink.close()
        letters = [record.value or b"" for record in self.records_of(f"{self.topic}.dlq")]
        return Found(rows=rows, letters=letters, loss=loss.by_instance)

    def records_of(self, topic: str) -> list[Record]:
        """Return all records of a topic."""
        reader = open_reader(self.stage.cluster.settings())
        try:
            ends = reader.end_offsets(reader.partitions_of(topic))
            reader.assign(reader.beginning_offsets(list(ends)))
            found: list[Record] = []

            def all_read() -> bool:
                found.extend(reader.poll(timeout_seconds=0.1, max_records=10_000))
                return all(reader.position(tp) >= end for tp, end in ends.items())

            wait_for(all_read, f"the records of {topic}")
            return found
        finally:
            reader.close()

    def begin(self, kind: SinkKind) -> None:
        """Make the sink. Raises ``NotTriedError`` where this machine gives no small disk."""
        self.sink_folder.mkdir()
        if kind == "small disk":
            size = f"size={_SMALL_DISK_BLOCKS * _BLOCK_BYTES}"
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "none", self.sink_folder], capture_output=True, check=False
            )
            if done.returncode:
                raise NotTriedError("no right to mount a small disk")
            self._is_mounted = True
        self.sink_url = self.stage.sink_url(kind, self.sink_folder)

    def end(self) -> None:
        """Kill what still runs."""
        running: list[App | ConsumerProcess] = [*self.apps, *self.consumers]
        for process in running:
            if process.is_up:
                process.kill()
        if self._is_mounted:
            subprocess.run(["umount", "--lazy", self.sink_folder], check=True)
            self._is_mounted = False
