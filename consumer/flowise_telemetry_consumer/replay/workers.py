"""Worker processes of one replay on one machine, each with separate partitions, reader and sink."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any, Literal, cast

from flowise_telemetry_consumer.errors import SinkInUseError, SinkUnavailableError, WorkerError
from flowise_telemetry_consumer.process import separate_stderr, tune_gc
from flowise_telemetry_consumer.replay.checkpoints import ReplayCheckpoint
from flowise_telemetry_consumer.replay.loop import advance_run
from flowise_telemetry_consumer.replay.report import OnReport, PartitionResult, ReplayResult
from flowise_telemetry_consumer.retry import DEFAULT_CONTROL, RunControl
from flowise_telemetry_consumer.sinks.port import KeepsProgress, Sink, Stageable
from flowise_telemetry_consumer.sinks.refusals import OnRefused
from flowise_telemetry_consumer.sinks.registry import no_staging, open_sink, sink_kind, told
from flowise_telemetry_schemas import Catalog, ConfigurationError, EventSchema, TelemetryError, catalog
from flowise_telemetry_schemas.own_events import read_own_events
from flowise_telemetry_schemas.registered_schemas import with_registry
from flowise_telemetry_transport.clients import open_reader
from flowise_telemetry_transport.schema_registry.registry import Registry
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["open_target", "replay_with_workers", "require_many_writers"]

_WAIT_SECONDS = 0.2
_KEEP_LOCK_SECONDS = 5.0
_END_SECONDS = 30.0
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Task:
    """The work of one worker, in a form that can be sent to another process."""

    settings: Mapping[str, Any]
    sink_url: str
    staging: str | None
    run: ReplayCheckpoint
    partitions: tuple[TopicPartition, ...]
    no_progress_seconds: float
    on_refused: OnRefused
    registry: RegistrySettings | None
    own_schemas: str | None

    def catalog(self) -> Catalog:
        """Return the schemas that records are read by."""
        schemas = catalog() if self.own_schemas is None else read_own_events(self.own_schemas).catalog
        return schemas if self.registry is None else with_registry(schemas, Registry(self.registry))


_Message = tuple[Literal["progress", "done"], ReplayResult] | tuple[Literal["failed"], str, bool]


def open_target(sink_url: str, staging: str | None, schemas: Iterable[EventSchema] | None = None) -> Sink:
    """Return the sink of a URL or its staging sink of that name. Raises as ``open_sink`` and ``staging``.

    ``schemas`` are as those of ``open_sink``. Raises ``SinkError`` if the sink cannot have staging tables.
    """
    sink = open_sink(sink_url, schemas)
    if staging is None:
        return sink
    if not isinstance(sink, Stageable):
        raise no_staging(sink)
    return told(sink.staging(staging), schemas)


def require_many_writers(sink_url: str, workers: int) -> None:
    """Raise ``ConfigurationError`` for several workers if the sink takes one process at a time."""
    kind = sink_kind(sink_url)
    if workers > 1 and kind.writers == "one":
        raise ConfigurationError(
            f"a {kind.scheme} sink takes one process at a time, not {workers}: use one worker", argument="workers"
        )


def replay_with_workers(
    settings: KafkaSettings,
    sink_url: str,
    run: ReplayCheckpoint,
    *,
    workers: int,
    lock_holder: Sink,
    staging: str | None = None,
    registry: RegistrySettings | None = None,
    control: RunControl = DEFAULT_CONTROL,
    on_refused: OnRefused = "wait",
    on_report: OnReport | None = None,
    keep_lock_seconds: float = _KEEP_LOCK_SECONDS,
    own_schemas: str | None = None,
) -> ReplayResult:
    """Read what is left of a run with up to ``workers`` processes, one for each partition at most; as ``advance_run``.

    ``lock_holder`` is the sink through which the caller holds the run's lock. The lock is renewed every
    ``keep_lock_seconds`` while the workers write: on object storage it would expire. If a worker fails, the others
    write what they have and end too, and ``WorkerError`` carries the worker's message. Workers end when this process
    ends, however it ends. ``own_schemas`` is the place of events that are not shipped (``read_own_events``).
    """
    shares = _shares(run, workers)
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    processes: dict[Connection, BaseProcess] = {}
    latest: dict[Connection, ReplayResult] = {}
    failures: list[WorkerError] = []
    try:
        for share in shares:
            receiving, sending = context.Pipe(duplex=False)
            task = _Task(
                _plain(settings),
                sink_url,
                staging,
                run,
                share,
                control.no_progress_seconds,
                on_refused,
                registry,
                own_schemas,
            )
            process = context.Process(
                target=_work, args=(task, sending, stopping), name=f"replay {run.id}", daemon=True
            )
            process.start()
            sending.close()
            processes[receiving] = process
        awaited = set(processes)
        renew_at = time.monotonic() + keep_lock_seconds
        while awaited:
            if not failures and time.monotonic() >= renew_at:
                failures += _lock_failures(lock_holder, run)
                renew_at = time.monotonic() + keep_lock_seconds
            if control.stopped or failures:
                stopping.set()
            for ready in connection.wait(awaited, timeout=_WAIT_SECONDS):
                channel = cast("Connection", ready)
                message = _received(channel, processes[channel])
                if message[0] == "failed":
                    failures.append(WorkerError(message[1], retryable=message[2]))
                    awaited.discard(channel)
                    continue
                latest[channel] = message[1]
                if message[0] == "done":
                    awaited.discard(channel)
                elif on_report is not None:
                    on_report(_merged(run, shares, list(latest.values())))
    finally:
        stopping.set()
        for channel, worker in processes.items():
            channel.close()
            worker.join(_END_SECONDS)
            if worker.is_alive():
                worker.kill()
    if failures:
        raise failures[0]
    return _merged(run, shares, list(latest.values()))


def _lock_failures(holder: Sink, run: ReplayCheckpoint) -> list[WorkerError]:
    if not isinstance(holder, KeepsProgress):
        return []
    try:
        holder.lock(run.lock_name)
    except SinkUnavailableError:
        return []  # the lock has not expired yet: the next renewal may succeed
    except TelemetryError as error:
        return [WorkerError(error.message, retryable=error.retryable or isinstance(error, SinkInUseError))]
    return []


def _plain(settings: KafkaSettings) -> Mapping[str, Any]:
    """Return the settings in a form that can be pickled, which their read-only mapping cannot."""
    return {each.name: getattr(settings, each.name) for each in fields(settings)} | {"options": dict(settings.options)}


def _shares(run: ReplayCheckpoint, workers: int) -> list[tuple[TopicPartition, ...]]:
    """Divide the partitions so that each worker has about the same number of offsets left."""
    left = {tp: run.offsets.ends[tp] - run.position(tp) for tp in run.offsets.ends}
    shares: list[list[TopicPartition]] = [[] for _ in range(max(1, min(workers, sum(map(bool, left.values())))))]
    for tp in sorted(left, key=lambda tp: (-left[tp], tp)):
        min(shares, key=lambda share: sum(left[one] for one in share)).append(tp)
    return [tuple(share) for share in shares]


def _received(channel: Connection, process: BaseProcess) -> _Message:
    try:
        return cast("_Message", channel.recv())
    except (EOFError, OSError):
        process.join(_END_SECONDS)
        return "failed", f"a worker ended before it was done (exit code {process.exitcode})", True


def _merged(
    run: ReplayCheckpoint, shares: Sequence[tuple[TopicPartition, ...]], results: list[ReplayResult]
) -> ReplayResult:
    parts = {tp: part for result in results for tp, part in result.partitions.items()}
    for share in shares:
        for tp in share:
            parts.setdefault(tp, PartitionResult(run.offsets.starts[tp], run.offsets.ends[tp], run.position(tp)))
    return ReplayResult(
        run.offsets.topic,
        dict(sorted(parts.items())),
        run=run.id,
        resumed=any(result.resumed for result in results),
        written=sum((result.written for result in results), Counter[str]()),
        already_there=sum((result.already_there for result in results), Counter[str]()),
        erased=sum((result.erased for result in results), Counter[str]()),
        dead=sum((result.dead for result in results), Counter[str]()),
        incomplete=next((result.incomplete for result in results if result.incomplete is not None), None),
    )


def _work(task: _Task, channel: Connection, stopping: Event) -> None:
    """Run a worker from start to end. The parent handles Ctrl-C and SIGTERM, and stops the workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    separate_stderr()
    tune_gc()
    threading.Thread(target=_end_with_parent, name="flowise-telemetry-parent", daemon=True).start()
    try:
        with contextlib.ExitStack() as opened:
            schemas = task.catalog()
            sink = open_target(task.sink_url, task.staging)
            opened.callback(sink.close)
            sink.prepare(list(schemas))
            reader = open_reader(KafkaSettings(**task.settings))
            opened.callback(reader.close, timeout_seconds=_CLOSE_SECONDS)
            result = advance_run(
                reader,
                sink,
                schemas,
                task.run,
                partitions=task.partitions,
                # multiprocessing's Event has the same is_set() as threading's.
                control=RunControl(task.no_progress_seconds, cast("threading.Event", stopping)),
                on_refused=task.on_refused,
                on_report=lambda now: channel.send(("progress", now)),
            )
        channel.send(("done", result))
    except BrokenPipeError:
        return  # the parent has ended
    except TelemetryError as error:
        channel.send(("failed", error.message, error.retryable or isinstance(error, SinkInUseError)))
    except Exception as error:  # a bug: the parent has to report it
        channel.send(("failed", f"a worker failed: {type(error).__name__}: {error}", False))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
