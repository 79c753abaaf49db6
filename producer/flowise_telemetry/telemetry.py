"""``Telemetry``, the one object that an app has."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowise_telemetry import environment, lifecycle
from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.encoding.size import event_bytes
from flowise_telemetry.stats import Counts, DropReason, OnDrop, Stats
from flowise_telemetry_schemas.errors import ValidationError
from flowise_telemetry_schemas.events import EVENT_CLASSES, Event

if TYPE_CHECKING:  # the functions below import what they need: an app with telemetry off loads none of it
    from pathlib import Path
    from types import TracebackType

    from flowise_telemetry.consent.decision import Consent
    from flowise_telemetry.consent.env_file import EnvFile
    from flowise_telemetry.delivery.in_flight import WriterFactory
    from flowise_telemetry.delivery.sender import Sender
    from flowise_telemetry.settings import Limits

__all__ = ["Telemetry"]

logger = logging.getLogger("flowise_telemetry")

_EVENT_TYPES = frozenset(EVENT_CLASSES.values())


class Telemetry:
    """The app's way to send events; does nothing at all while telemetry is off.

    It is off if someone opted out (``consent`` says who) or no bootstrap servers are set. Settings are read here and
    never again, except that a later opt-out is obeyed: events that wait are then dropped as ``opted_out``.

    ``app_version`` fills the events' ``version``. Arguments override the environment, which overrides the ``.env`` file
    (``env_file``, else ``.env`` in the working directory); but no argument overrides an opt-out. ``environ`` replaces
    ``os.environ``.

    ``strict`` is for development and tests: ``send_telemetry`` raises ``ValidationError`` for a bad event, even if
    nothing is sent, and wrong settings raise ``ConfigurationError`` here. Without it nothing is ever raised into the
    app.

    ``writer_factory`` replaces the Kafka client, for tests. ``on_drop`` is called for each dropped event, on any
    thread. ``flush_on_sigterm`` delivers for at most a second when SIGTERM would end the process (call it from the main
    thread; it does nothing if the app has a handler of its own); without it the default SIGTERM loses what is in
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
            logger.debug("telemetry: nothing is sent because %s is not set", environment.BOOTSTRAP_SERVERS)
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
        if self._settings.spool_has_files:  # recover them now, not with the first event
            self._start()

    def _begin(self) -> None:
        """Create what belongs to one process: at the start, and again in the child of a fork."""
        from flowise_telemetry.consent.decision import OptOutWatch

        self._start_lock = threading.RLock()
        self._wakeup = Wakeup()
        self._queue = EventQueue(
            max_events=self._limits.buffer_max_events, max_bytes=self._limits.buffer_max_bytes, wakeup=self._wakeup
        )
        self._counts = Counts(self._on_drop)
        self._sender: Sender | None = None
        self._stream_id = ""
        self._opt_out_watch = OptOutWatch(self._environ, self._settings.environ)
        self._silent = not self._active

    # -- sending --------------------------------------------------------------------------------------------------

    def send_telemetry(self, event: Event) -> None:
        """Accept an event; another thread sends it.

        Never blocks and, without ``strict``, never raises: an event that cannot be accepted is counted (``stats``) and
        dropped. With ``strict`` raises ``ValidationError``.
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
            reason = self._queue.put(event, event_bytes(event))
            if reason is not None:
                self._counts.drop(reason, event.EVENT, refused=True)
            elif self._sender is None:
                self._start()
        except Exception as error:
            if self._strict:
                raise
            # Only our own messages are known to name no value; any other may hold what must not be logged.
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
        """Wait until every event accepted before is delivered or dropped; return False at the time limit.

        ``stats`` tells the two apart. In asyncio: ``await asyncio.to_thread(telemetry.flush, 5.0)``.
        """
        sender = self._sender
        return not len(self._queue) if sender is None else sender.flush(timeout_seconds)

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Deliver what is possible within the time, then end the thread and the connection. May be called again.

        Events that are not delivered by then are counted as ``closed``, and so is every later one. Also called at the
        end of the process, where all ``Telemetry`` objects share one second.
        """
        self._queue.close()
        sender = self._sender
        if sender is not None:
            sender.stop(timeout_seconds)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- state ----------------------------------------------------------------------------------------------------

    @property
    def consent(self) -> Consent:
        """The decision whether events may be sent, and the place that made it."""
        return self._consent

    @property
    def active(self) -> bool:
        """True if events are sent: nobody opted out, and there is somewhere to send them."""
        return self._active

    def stats(self) -> Stats:
        """Return the counts of this process's events so far."""
        counts, sender = self._counts, self._sender
        accepted, dropped = self._queue.accepted, counts.dropped()
        outcome = counts.sent + sum(dropped.values()) - counts.refused
        return Stats(
            accepted=accepted,
            refused=counts.refused,
            recovered=counts.recovered,
            sent=counts.sent,
            dropped=dropped,
            buffered=max(0, accepted + counts.recovered - outcome),
            spooled=0 if sender is None else sender.spooled,
            stream_id=self._stream_id,
        )

    # -- the sender -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._start_lock, lifecycle.loading():
            if self._sender is not None:
                return
            # Imported at the first send, so that an app that never sends does not wait for it.
            if not self._may_send():
                from flowise_telemetry.encoding.encoder import event_name

                self._queue.close()
                for item in self._queue.take_all():
                    self._counts.drop(DropReason.OPTED_OUT, event_name(item[0]))
                return
            from flowise_telemetry.delivery.assembly import assemble
            from flowise_telemetry.encoding.encoder import new_stream_id

            self._stream_id = self._stream_id or new_stream_id()
            sender = assemble(
                self._settings,
                self._limits,
                app_version=self._app_version,
                stream_id=self._stream_id,
                queue=self._queue,
                wakeup=self._wakeup,
                counts=self._counts,
                may_send=self._may_send,
                writer_factory=self._writer_factory,
            )
            lifecycle.watch_exit()
            try:
                sender.start()
            except RuntimeError as error:  # no more threads, or the interpreter is ending: the next send tries again
                logger.debug("telemetry: %s", error)
                return
            self._sender = sender

    def _may_send(self) -> bool:
        opt_out = self._opt_out_watch.opt_out()
        if opt_out is None:
            return True
        self._consent = opt_out
        self._active = False
        self._silent = True
        return False

    def _check_settings(self) -> None:
        if self._settings.bootstrap_servers and self._writer_factory is None:
            from flowise_telemetry_transport.settings import KafkaSettings

            KafkaSettings.from_env(self._settings.kafka)

    def _after_fork_in_child(self, *, usable: bool) -> None:
        if self._sender is not None:
            lifecycle.keep_forever(self._sender)
        closed = self._queue.closed
        self._begin()
        if closed or not usable:
            self._queue.close()

    def _at_exit(self, budget_seconds: float) -> None:
        self.close(timeout_seconds=budget_seconds)
