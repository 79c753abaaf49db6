"""The one object that an app has."""

from __future__ import annotations

import functools
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowise_telemetry import environment, lifecycle
from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.encoding.size import event_bytes
from flowise_telemetry.stats import Counts, DropReason, OnDrop, Stats
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.events import EVENT_CLASSES, Event

if TYPE_CHECKING:  # what is not needed to import the module is imported where it is: an app may never get there
    from pathlib import Path
    from types import TracebackType

    from flowise_telemetry.consent.decision import Consent
    from flowise_telemetry.consent.env_file import EnvFile
    from flowise_telemetry.delivery.assembly import SenderParts
    from flowise_telemetry.delivery.in_flight import WriterFactory
    from flowise_telemetry.settings import Limits

__all__ = ["Telemetry"]

logger = logging.getLogger("flowise_telemetry")

_EVENT_TYPES = frozenset(EVENT_CLASSES.values())
_CHOICE_LOOK_SECONDS = 5.0


class Telemetry:
    """Sends events, or does nothing at all.

    It does nothing when telemetry is off (``consent`` names who said so) or no bootstrap servers are set. Settings
    are read here and never again, except that an opt-out set later is obeyed: what waits is then dropped
    (``opted_out``).

    ``app_version`` fills the events' ``version``. Arguments win over the environment, and that over the ``.env`` file
    (``env_file``, else ``.env`` in the working directory); but no argument wins over an opt-out. ``environ`` stands
    in for ``os.environ``.

    ``strict`` is for development and tests: ``send_telemetry`` raises ``ValidationError`` for a bad event, even where
    nothing is sent, and wrong settings raise ``ConfigurationError`` here. Without it nothing is ever raised into the
    app.

    ``writer_factory`` opens another transport than Kafka's, for tests. ``on_drop`` is told of each dropped event, and
    may be on any thread. ``flush_on_sigterm`` delivers for at most a second when SIGTERM would end the process (from
    the main thread, and only if the app has no handler of its own); without it the default SIGTERM loses what is in
    memory.

    Safe to use from any thread, before and after a fork: a child has its own stream, counts and connection.
    """

    def __init__(
        self,
        *,
        app_version: str,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        strict: bool = False,
        enabled: bool | None = None,
        env_file: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        on_drop: OnDrop | None = None,
        writer_factory: WriterFactory | None = None,
        spool_dir: str | Path | None = None,
        ledger_path: str | Path | None = None,
        first_run_notice: bool = True,
        flush_on_sigterm: bool = False,
    ) -> None:
        from flowise_telemetry.consent.decision import decide
        from flowise_telemetry.consent.env_file import read_env_file
        from flowise_telemetry.settings import Limits, ProducerSettings

        self._silent = True
        self._app_version = app_version
        self._strict = strict
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._limits = limits or Limits()
        self._on_drop = on_drop
        self._writer_factory = writer_factory
        file: EnvFile | None = None

        def read_file() -> EnvFile:
            nonlocal file
            file = read_env_file(env_file)
            return file

        self._consent = decide(self._environ, read_file, argument=enabled)
        self._settings = ProducerSettings.read(
            self._environ if self._consent.enabled else {},
            file.values if file and self._consent.enabled else {},
            bootstrap_servers=bootstrap_servers,
            topic=topic,
            spool_dir=spool_dir,
            ledger_path=ledger_path,
        )
        self._active = self._consent.enabled and bool(
            self._settings.bootstrap_servers or self._settings.debug or writer_factory
        )
        if self._active and strict:
            self._check_settings()
        if self._consent.enabled and not self._active:
            logger.debug("telemetry: nothing is sent: %s is not set", environment.BOOTSTRAP_SERVERS)
        self._begin()
        lifecycle.register(self)
        if self._active:
            self._welcome(first_run_notice=first_run_notice, flush_on_sigterm=flush_on_sigterm)

    def _welcome(self, *, first_run_notice: bool, flush_on_sigterm: bool) -> None:
        if flush_on_sigterm:
            lifecycle.flush_on_sigterm()
        if first_run_notice and self._writer_factory is None:
            from flowise_telemetry.consent.notice import show_notice

            show_notice(self._settings.environ)
        if self._settings.spool_has_files:  # does not wait for the first event
            self._start()

    def _begin(self) -> None:
        """Everything that belongs to one process: made at the start, and anew in the child of a fork."""
        self._start_lock = threading.RLock()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._inbox = EventQueue(
            max_events=self._limits.buffer_max_events,
            max_bytes=self._limits.buffer_max_bytes,
            wake=functools.partial(self._bell.put, None),
        )
        self._counts = Counts(self._on_drop)
        self._machinery: SenderParts | None = None
        self._stream_id = ""
        self._choice_read_at = 0.0
        self._silent = not self._active

    # -- sending --------------------------------------------------------------------------------------------------

    def send_telemetry(self, event: Event) -> None:
        """Takes an event in; it leaves on another thread.

        Never blocks and, without ``strict``, never raises: an event that cannot be taken is counted (``stats``) and
        dropped. Raises ``ValidationError`` with ``strict``.
        """
        if self._silent and not self._strict:
            return
        try:
            if self._strict:
                self._check(event)
                if self._silent:
                    return
            if type(event) not in _EVENT_TYPES and not isinstance(event, tuple(_EVENT_TYPES)):
                self._counts.drop(DropReason.INVALID, None, f"a {type(event).__name__}", refused=True)
                return
            reason = self._inbox.put(event, event_bytes(event))
            if reason is not None:
                self._counts.drop(reason, event.EVENT, refused=True)
            elif self._machinery is None:
                self._start()
        except Exception as error:
            if self._strict:
                raise
            # The text of any other error may hold what must not be logged.
            self._counts.drop(
                DropReason.INVALID,
                error.event if isinstance(error, ValidationError) else None,
                error if isinstance(error, ValidationError) else type(error).__name__,
                refused=True,
            )

    def _check(self, event: Event) -> None:
        from flowise_telemetry.encoding.encoder import check_event

        check_event(event, self._app_version)

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Waits until every event taken in before is delivered or dropped; False when the time is up first.

        ``stats`` tells the two apart. In asyncio: ``await asyncio.to_thread(telemetry.flush, 5.0)``.
        """
        machinery = self._machinery
        return not len(self._inbox) if machinery is None else machinery.sender.flush(timeout_seconds)

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Delivers what it can within the time and ends the thread and the connection. May be called again.

        Events that are not delivered by then are counted as ``closed``, and so is every later one. Also called at the
        end of the process, with a second for all.
        """
        self._inbox.close()
        machinery = self._machinery
        if machinery is not None:
            machinery.sender.stop(timeout_seconds)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what it tells --------------------------------------------------------------------------------------------

    @property
    def consent(self) -> Consent:
        """Whether events may be sent, and who decided that."""
        return self._consent

    @property
    def active(self) -> bool:
        """Whether events are sent: allowed, and with somewhere to go."""
        return self._active

    def stats(self) -> Stats:
        """What became of the events of this process so far."""
        counts = self._counts
        accepted, dropped = self._inbox.accepted, counts.dropped()
        outcome = counts.sent + sum(dropped.values()) - counts.refused
        return Stats(
            accepted=accepted,
            refused=counts.refused,
            recovered=counts.recovered,
            sent=counts.sent,
            dropped=dropped,
            buffered=max(0, accepted + counts.recovered - outcome),
            stream_id=self._stream_id,
        )

    # -- the sender's side ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._start_lock, lifecycle.loading():
            if self._machinery is not None:
                return
            # Imported at the first send: an app that never sends never waits for it.
            from flowise_telemetry.delivery.assembly import assemble
            from flowise_telemetry.encoding.encoder import event_name, new_stream_id

            if not self._may_send():
                self._inbox.close()
                for item in self._inbox.take_all():
                    self._counts.drop(DropReason.OPTED_OUT, event_name(item[0]))
                return
            self._stream_id = self._stream_id or new_stream_id()
            machinery = assemble(
                self._settings,
                self._limits,
                app_version=self._app_version,
                stream_id=self._stream_id,
                inbox=self._inbox,
                bell=self._bell,
                counts=self._counts,
                may_send=self._may_send,
                writer_factory=self._writer_factory,
            )
            lifecycle.watch_exit()
            try:
                machinery.sender.start()
            except (
                RuntimeError
            ) as error:  # no more threads now, or the interpreter is ending: the next send tries again
                logger.debug("telemetry: %s", error)
                return
            self._machinery = machinery

    def _may_send(self) -> bool:
        from flowise_telemetry.consent.decision import withdrawn

        now = time.monotonic()
        look = now - self._choice_read_at >= _CHOICE_LOOK_SECONDS
        if look:
            self._choice_read_at = now
        said_no = withdrawn(self._environ, self._settings.environ if look else None)
        if said_no is None:
            return True
        self._consent = said_no
        self._active = False
        self._silent = True
        return False

    def _check_settings(self) -> None:
        if self._settings.bootstrap_servers and self._writer_factory is None:
            from flowise_telemetry_transport.settings import KafkaSettings

            KafkaSettings.from_env(self._settings.kafka)

    def _after_fork_in_child(self, *, usable: bool) -> None:
        if self._machinery is not None:
            lifecycle.keep_for_ever(self._machinery)
        closed = self._inbox.closed
        self._begin()
        if closed or not usable:
            self._inbox.close()

    def _at_exit(self, budget_seconds: float) -> None:
        self.close(timeout_seconds=budget_seconds)
