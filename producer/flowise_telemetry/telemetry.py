"""``Telemetry``, the one object that an app has."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flowise_telemetry import environment, lifecycle
from flowise_telemetry.app_version import NOT_A_VERSION, normalized_version
from flowise_telemetry.content import Content
from flowise_telemetry.copies import Identity
from flowise_telemetry.delivery.queue import EventQueue
from flowise_telemetry.delivery.requests import Requests
from flowise_telemetry.delivery.wakeup import Wakeup
from flowise_telemetry.delivery.worker import Worker
from flowise_telemetry.encoding.size import event_bytes, unusual_bytes
from flowise_telemetry.stats import Counts, DropReason, OnDrop, Stats
from flowise_telemetry_schemas.errors import ConfigurationError, ValidationError
from flowise_telemetry_schemas.events import EVENT_CLASSES, RETIRED_FROM_MS, Event

if TYPE_CHECKING:  # the functions below import what they need: an app with telemetry off loads none of it
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from flowise_telemetry.consent.decision import Consent
    from flowise_telemetry.consent.watch import OptOutWatch
    from flowise_telemetry.content import NodeTypes
    from flowise_telemetry.delivery.in_flight import WriterFactory
    from flowise_telemetry.delivery.sender import Sender
    from flowise_telemetry.encoding.given_envelope import GivenEnvelope
    from flowise_telemetry.own_events import AppEvents
    from flowise_telemetry.settings import Limits
    from flowise_telemetry_schemas.own_events import OwnEvent, Place

__all__ = ["Telemetry"]

logger = logging.getLogger("flowise_telemetry")

_TURN_OFF_SECONDS = 2.0
_EVENT_TYPES = frozenset(EVENT_CLASSES.values())


@functools.cache
def _given_envelope() -> type[GivenEnvelope]:
    """Import what a gateway alone needs, once."""
    from flowise_telemetry.encoding import given_envelope

    return given_envelope.GivenEnvelope


class Telemetry:
    """The app's way to send events; does nothing at all while telemetry is off.

    It is off if someone opted out (``consent`` says who) or neither servers nor endpoint are set. Settings are read
    here and never again, except that a later opt-out is obeyed: events that wait are then dropped as ``opted_out``.

    ``app_version`` fills the events' ``version``, as the schemas take it: ``3.0.1rc1`` becomes ``3.0.1-rc.1``. With
    what is no version nothing is sent, which one WARNING says.

    Arguments override the environment, which overrides the ``.env`` file (``env_file``, else ``.env`` in the working
    directory); but no argument overrides an opt-out. A ``.env`` that was not named sets less: no folder to write to,
    and nothing of a connection that an argument or the environment names. ``kafka`` are further settings of the client,
    such as ``{"security_protocol": "SASL_SSL", "token_provider": function}``. ``endpoint``, with ``project_key`` or
    ``project_key_file``, is a gateway in place of the servers (``https://host``); ``allow_http`` lets the key travel in
    clear. ``enabled`` takes what the environment
    takes (``True``, 1, ``"yes"``, …); what is not plainly a yes is a no, except None, the default. ``environ`` replaces
    ``os.environ``.

    ``strict`` is for development and tests: ``send_telemetry`` raises ``ValidationError`` for a bad event, even if
    nothing is sent, and wrong settings raise ``ConfigurationError`` here. Without it nothing is ever raised into the
    app.

    ``ids="hashed"`` sends hashes in place of the ids of the app's database, whose key changes every month;
    ``tool_names="off"`` withholds the names of tools. The stricter of argument and environment counts. ``node_types``
    are the app's own, which leave beside those of the vocabulary: names, or a file with one a line. They are to be
    constants of the app's code, nothing that its users choose.

    ``schemas`` is a folder with events of the app's own, which are sent beside the shipped ones: its path, the folder
    of an installed package (``importlib.resources.files``), or ``entry-point:NAME``. ``schemas generate`` makes their
    classes. If ``schemas check`` refuses the folder, one WARNING says why and none of them is sent.

    ``writer_factory`` replaces the Kafka client, for tests. ``on_drop`` is called for each dropped event, on any
    thread. ``flush_on_sigterm`` delivers for at most a second when SIGTERM would end the process (call it from the main
    thread; it does nothing if the app has a handler of its own); without it the default SIGTERM loses what is in
    memory.

    Safe to use from any thread, before and after a fork: a child has its own stream, counts and connection. A copy is
    the same object. A pickle carries no password, callback or ``environ``: where it is loaded, one is made from the
    environment there, and one that is off stays off.
    """

    def __init__(
        self,
        *,
        app_version: str,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        kafka: Mapping[str, object] | None = None,
        endpoint: str | None = None,
        project_key: str | None = None,
        project_key_file: str | Path | None = None,
        allow_http: bool | None = None,
        strict: bool = False,
        enabled: bool | int | str | None = None,
        env_file: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        on_drop: OnDrop | None = None,
        writer_factory: WriterFactory | None = None,
        spool_dir: str | Path | None = None,
        ledger_path: str | Path | None = None,
        first_run_notice: bool = True,
        flush_on_sigterm: bool = False,
        ids: str | None = None,
        tool_names: str | None = None,
        node_types: NodeTypes | None = None,
        schemas: Place | None = None,
    ) -> None:
        from flowise_telemetry.consent.switch import ConsentSwitch
        from flowise_telemetry.settings import Limits, ProducerSettings

        self._silent = True
        self._app_version = normalized_version(app_version) or ""
        self._strict = strict
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._limits = limits or Limits()
        self._on_drop = on_drop
        self._writer_factory = writer_factory
        self._switch = ConsentSwitch(self._environ, env_file, enabled)
        self._given_spool_dir = spool_dir
        self._read_settings = functools.partial(
            ProducerSettings.read,
            bootstrap_servers=bootstrap_servers,
            topic=topic,
            kafka=kafka,
            endpoint=endpoint,
            project_key=project_key,
            project_key_file=project_key_file,
            allow_http=allow_http,
            spool_dir=spool_dir,
            ledger_path=ledger_path,
        )
        self._given_content: dict[str, Any] = {
            "ids": ids,
            "tool_names": tool_names,
            "node_types": node_types
            if isinstance(node_types, str | os.PathLike) or not isinstance(node_types, Iterable)
            else (*node_types,),
        }
        self._given_schemas = schemas
        self._identity = Identity(
            self,
            {
                **self._read_settings.keywords,
                **self._given_content,
                "kafka": None,  # may hold a password, or a function that makes tokens
                "project_key": None,
                "app_version": self._app_version,
                "strict": strict,
                "enabled": enabled,
                "env_file": env_file,
                "limits": limits,
                "first_run_notice": first_run_notice,
                "schemas": schemas,
            },
        )
        self._decide()
        if self._consent.enabled and not self._app_version:
            if strict:
                raise ConfigurationError(NOT_A_VERSION, argument="app_version")
            logger.warning("telemetry: nothing is sent: %s", NOT_A_VERSION)
        if self._active and strict:
            self._check_settings()
        elif self._consent.enabled and not self._active:
            ways = environment.BOOTSTRAP_SERVERS, environment.ENDPOINT
            logger.debug("telemetry: nothing is sent because neither %s nor %s is set", *ways)
        self._begin()
        lifecycle.register(self)
        if self._active:
            self._welcome(first_run_notice=first_run_notice, flush_on_sigterm=flush_on_sigterm)

    def _decide(self) -> None:
        self._consent = self._switch.decide()
        on = self._consent.enabled
        file = self._switch.file
        self._settings = self._read_settings(
            self._environ if on else {},
            file.values if on else {},
            named=file.named,
            passed_over=file.passed_over if on else (),
        )
        somewhere = self._settings.has_somewhere or self._writer_factory is not None
        self._active = on and somewhere and bool(self._app_version)
        reads = on and (self._active or self._strict)
        self._content = self._read_content() if reads else Content.strictest()
        self._own = self._read_own() if reads else None
        self._retired_from_ms = RETIRED_FROM_MS
        if self._own is not None:
            self._content = self._content.with_node_types(self._own.node_types)
            self._retired_from_ms = self._own.retired_from_ms
        if not on:
            self._switch.forget_spool(self._given_spool_dir)

    def _read_content(self) -> Content:
        try:
            return Content.read(self._settings.environ, **self._given_content)
        except ConfigurationError as error:
            if self._strict:
                raise
            logger.warning("telemetry: %s: %s; ids are hashed and names withheld", error.argument, error)
            return Content.strictest()

    def _read_own(self) -> AppEvents | None:
        """Return the app's own events; without ``strict``, None and one WARNING for a folder that is refused."""
        place = self._given_schemas
        if place is None:
            place = self._settings.environ.get(environment.SCHEMAS, "").strip()
        if place == "":
            return None
        from flowise_telemetry.own_events import AppEvents

        try:
            return AppEvents.read(place)
        except ConfigurationError as error:
            if self._strict:
                raise
            logger.warning("telemetry: events of the app's own are not sent: %s: %s", error.argument, error)
            return None

    def _welcome(self, *, first_run_notice: bool, flush_on_sigterm: bool) -> None:
        if first_run_notice and self._writer_factory is None:
            from flowise_telemetry.consent.notice import show_notice

            show_notice(self._settings.environ, own=self._own)
        self._disclose()
        if self._settings.passed_over:
            from flowise_telemetry.found_file import warning_of

            logger.warning("telemetry: %s", warning_of(self._switch.file.path, self._settings.passed_over))
        if flush_on_sigterm:
            lifecycle.flush_on_sigterm()
        if self._settings.spool_has_files:  # recover them now, not with the first event
            self._start()

    def _disclose(self) -> None:
        if self._writer_factory is None:
            from flowise_telemetry.consent.notice import disclose

            environ = self._settings.environ
            own = None if self._own is None else disclose(environ, own=self._own)
            self._content = self._content.as_disclosed(disclose(environ), own)

    def _begin(self, *, closed: bool = False) -> None:
        """Create what belongs to one process: at the start, and again in the child of a fork."""
        wakeup, requests = Wakeup(self._limits.linger_seconds), Requests()
        self._queue = EventQueue(
            max_events=self._limits.buffer_max_events, max_bytes=self._limits.buffer_max_bytes, wakeup=wakeup
        )
        self._counts = Counts(self._on_drop)
        watch = self._opt_out_watch = self._switch.watch()
        self._worker = Worker(
            queue=self._queue,
            counts=self._counts,
            wakeup=wakeup,
            requests=requests,
            load=lambda: self._load(watch, wakeup, requests),
        )
        self._silent = not self._active
        self._pid = os.getpid()
        self._closed = closed
        if closed:
            self._queue.close()

    # -- sending --------------------------------------------------------------------------------------------------

    def send_telemetry(self, event: Event | OwnEvent) -> None:
        """Accept an event; another thread sends it.

        Never blocks and, without ``strict``, never raises: an event that cannot be accepted is counted (``stats``) and
        dropped. With ``strict`` raises ``ValidationError``.
        """
        if self._silent and not self._strict:
            return
        if os.getpid() != self._pid:
            lifecycle.notice_fork()
        if self._strict:
            self._check(event)
            if self._silent:
                return
        # Nothing here catches what a signal handler of the app raises meanwhile, as one that limits its time does.
        try:
            size_bytes = event_bytes(event) if type(event) in _EVENT_TYPES else self._bytes_of(event)
        except ValidationError as error:
            self._queue.refuse_invalid()
            self._counts.drop(DropReason.INVALID, error.event, error, refused=True)
        else:
            retired_from_ms = self._retired_from_ms.get(event.EVENT)
            if retired_from_ms is not None and time.time_ns() // 1_000_000 >= retired_from_ms:
                self._counts.drop(DropReason.RETIRED, event.EVENT, refused=True)  # no number: not even a count leaves
                return
            reason = self._queue.put(event, size_bytes)
            if reason is not None:
                self._counts.drop(reason, event.EVENT, refused=True)
        if not (self._worker.running or self._closed):
            self._start()

    def _bytes_of(self, event: Any) -> int:
        own = None if self._own is None else self._own.bytes_of(event)
        return unusual_bytes(event) if own is None else own

    def relay(
        self, event: Event | OwnEvent, *, event_id: str, occurred_at: datetime | int, instance_id: str
    ) -> DropReason | None:
        """Accept an event that another program made, for a gateway; return the reason if it is refused.

        It leaves with the id, the time (a ``datetime`` with a zone, or milliseconds since 1970) and the installation's
        id that it came with, and with this process's stream and sequence. All else is as for ``send_telemetry``:
        consent, bounds, spool, ledger, counts. One that is refused, because the buffer is full (``QUEUE_FULL``),
        after ``close`` (``CLOSED``) or while telemetry is off (``OPTED_OUT``), is counted nowhere: whoever sent it
        still has it. Never blocks. Raises ``ValidationError`` for what is no event, for an envelope that no record may
        have, and with ``strict`` for a bad event.
        """
        size_bytes = event_bytes(event) if type(event) in _EVENT_TYPES else self._bytes_of(event)
        checked = _given_envelope().checked
        given = checked(event.EVENT, event_id=event_id, occurred_at=occurred_at, instance_id=instance_id)
        self._notice_fork()
        if self._strict:
            self._check(event)
        if self._silent:
            return DropReason.CLOSED if self._consent.enabled else DropReason.OPTED_OUT
        retired_from_ms = self._retired_from_ms.get(event.EVENT)
        if retired_from_ms is not None and time.time_ns() // 1_000_000 >= retired_from_ms:
            return DropReason.RETIRED
        reason = self._queue.put(event, size_bytes, given)
        if not (self._worker.running or self._closed):
            self._start()
        return reason

    def when_kept(self, call: Callable[[], None]) -> None:
        """Call back, on any thread, once every event accepted before is encoded and, with a spool, on disk.

        Where the disk takes no more, they are in memory, which ``unspooled`` tells. It says nothing of the delivery to
        Kafka; ``flush`` does. The call must not wait.
        """
        self._notice_fork()
        self._worker.when_kept(call)

    def _check(self, event: Event | OwnEvent) -> None:
        from flowise_telemetry.encoding.encoder import check_event

        check_event(event, self._app_version, self._own)

    def _notice_fork(self) -> None:
        if os.getpid() != self._pid:
            lifecycle.notice_fork()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until every event accepted before is delivered or dropped; return False at the time limit.

        ``stats`` tells the two apart. In asyncio: ``await asyncio.to_thread(telemetry.flush, 5.0)``.
        """
        self._notice_fork()
        return self._worker.flush(timeout_seconds)

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Deliver what is possible within the time, then end the thread and the connection. May be called again.

        Events that are not delivered by then stay in the spool; without one they are counted as ``closed``, with one
        WARNING, and so is every later event. Takes up to five seconds longer while the spool is written or the sender
        loads, and 30 in a sub-interpreter. Also called at the end of the process, where all ``Telemetry`` objects share
        one second, and at most nine more while they get on.
        """
        self._notice_fork()
        self._closed = True
        self._worker.stop(timeout_seconds)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __copy__(self) -> Telemetry:
        return self

    def __deepcopy__(self, memo: object) -> Telemetry:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self._identity.pickled(self, closed=self._closed)

    # -- state ----------------------------------------------------------------------------------------------------

    @property
    def consent(self) -> Consent:
        """The decision whether events may be sent, and the place that made it."""
        return self._consent

    def set_enabled(self, enabled: bool) -> bool:
        """Turn telemetry off or on for the settings page of an app, from now on and after restarts.

        ``False`` drops what waits, and returns once that is done, or after two seconds. ``True`` takes it back, and no
        opt-out made elsewhere. Other processes of the app obey ``False`` within seconds, and ``True`` from their next
        start. Return False, with one WARNING, if it could not be stored: ``False`` then lasts as long as this process.
        """
        on = environment.is_yes(enabled)
        stored = self._switch.store(on)
        if on and not self._consent.enabled:
            self._decide()
            if self._active:
                self._disclose()
                self._begin(closed=self._closed)
        elif not on and self._consent.enabled:
            self._turn_off()
        return stored

    def _turn_off(self) -> None:
        from flowise_telemetry.consent.decision import APP_OPT_OUT

        self._opt_out_watch.opt_out_now(APP_OPT_OUT)
        self._may_send(self._opt_out_watch)
        self._worker.wait_for_end(_TURN_OFF_SECONDS)
        self._switch.forget_spool(self._given_spool_dir)

    @property
    def active(self) -> bool:
        """True if events are sent: nobody opted out, and there is somewhere to send them."""
        return self._active

    def still_active(self) -> bool:
        """Look for an opt-out, in files at most every five seconds, then return ``active``.

        For a gateway, which has to obey one also while no event of its own is on its way.
        """
        return self._active and self._may_send(self._opt_out_watch)

    @property
    def unspooled(self) -> int:
        """Undelivered events that are encoded and in memory alone: with a spool, because the disk takes no more."""
        return self._counts.unspooled

    def stats(self) -> Stats:
        """Return the counts of this process's events so far."""
        self._notice_fork()
        counts = self._counts
        accepted, dropped = self._queue.accepted, counts.dropped()
        outcome = counts.sent + sum(dropped.values()) - counts.refused
        return Stats(
            accepted=accepted,
            refused=counts.refused,
            recovered=counts.recovered,
            sent=counts.sent,
            dropped=dropped,
            buffered=max(0, accepted + counts.recovered - outcome),
            spooled=self._worker.spooled,
            stream_id=self._queue.stream.id,
            last_error=self._worker.last_error,
            error_lasts=self._worker.error_lasts,
            withheld=counts.withheld(),
        )

    # -- the sender -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        # An opt-out in the environment needs no thread to be seen; the sender asks for the others first.
        opted_out = any(environment.is_set(self._environ, name) for name in environment.OPT_OUTS)
        if opted_out and not self._may_send(self._opt_out_watch):
            self._queue.close()
            self._queue.drop_all(self._counts, DropReason.OPTED_OUT)
        else:
            self._worker.start()

    def _load(self, watch: OptOutWatch, wakeup: Wakeup, requests: Requests) -> Sender | None:
        """Import and make the sender, on its thread: an app that never sends does not wait for it."""
        with lifecycle.loading():  # the look for an opt-out imports too, and finds out where the user's home is
            if not self._may_send(watch):
                self._queue.close()
                self._queue.drop_all(self._counts, DropReason.OPTED_OUT)
                return None
            from flowise_telemetry.delivery.assembly import assemble

            return assemble(
                self._settings,
                self._limits,
                app_version=self._app_version,
                content=self._content,
                schemas=None if self._own is None else self._own.schemas,
                queue=self._queue,
                wakeup=wakeup,
                requests=requests,
                counts=self._counts,
                may_send=functools.partial(self._may_send, watch),
                writer_factory=self._writer_factory,
            )

    def _may_send(self, watch: OptOutWatch) -> bool:
        opt_out = watch.opt_out()
        if opt_out is not None and watch is self._opt_out_watch:  # else the app has turned it on again
            self._consent, self._active, self._silent = opt_out, False, True
        return opt_out is None

    def _check_settings(self) -> None:
        if self._writer_factory is not None:
            return
        if self._settings.endpoint:
            self._settings.gateway()
        elif self._settings.bootstrap_servers:
            from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
            from flowise_telemetry_transport.settings import KafkaSettings

            KafkaSettings.from_env(self._settings.connection, given=self._settings.given)
            RegistrySettings.from_env(self._settings.connection)

    def _after_fork_in_child(self, *, usable: bool) -> None:
        if self._pid == os.getpid():
            return
        lifecycle.keep_forever(self._worker)
        self._begin(closed=self._closed or not usable)

    def _at_exit(self, budget_seconds: float) -> None:
        if os.getpid() == self._pid:
            self._worker.stop(
                budget_seconds, patience_seconds=lifecycle.EXIT_PATIENCE_SECONDS if budget_seconds else 0.0
            )
