"""The thread behind one ``Telemetry`` in one process: it loads the sender and runs it."""

from __future__ import annotations

import _thread
import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowise_telemetry import lifecycle
from flowise_telemetry.delivery.requests import Requests
from flowise_telemetry.delivery.uwsgi_master import is_about_to_fork, let_it_fork
from flowise_telemetry.stats import DropReason

if TYPE_CHECKING:
    from flowise_telemetry.delivery.backoff import Backoff
    from flowise_telemetry.delivery.queue import EventQueue
    from flowise_telemetry.delivery.sender import Sender
    from flowise_telemetry.delivery.wakeup import Wakeup
    from flowise_telemetry.stats import Counts

__all__ = ["Worker"]

_CLOSING = 0.1  # of the time that ``stop`` has, for closing client and spool
_KEEP_SECONDS = 5.0  # that ``stop`` takes longer, at most, while events are written to the spool
_LAST_STEP_SECONDS = 30.0  # that ``stop`` takes longer, at most, where a thread that is left aborts the process
_FALL_ASLEEP_SECONDS = 1.0  # milliseconds, unless the machine is very busy
_FIRST_LOOK_SECONDS = 0.0005
_LONGEST_LOOK_SECONDS = 0.02


class Worker:
    """Has a thread from ``start`` to ``stop``; where the process cannot have one, ``flush`` and ``stop`` do its work.

    ``load`` imports and makes the sender, on the thread; it returns None if nothing may be sent. An app's thread that
    starts, flushes or stops holds no lock, so it may be a signal handler in the middle of another one.
    """

    def __init__(
        self,
        *,
        queue: EventQueue,
        counts: Counts,
        wakeup: Wakeup,
        requests: Requests,
        load: Callable[[], Sender | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._counts = counts
        self._wakeup = wakeup
        self._requests = requests
        self._load = load
        self._clock = clock
        self._unclaimed = {"work": True}  # whoever takes it out is the one thread that works
        self._ident: int | None = None
        self._thread: threading.Thread | None = None
        self._loading: Backoff | None = None
        self._sender: Sender | None = None
        self._has_begun = False
        self._starting = False
        self.running = False
        """True once there is a thread. Starting one twice is harmless: the second has nothing to do."""

    @property
    def spooled(self) -> int:
        """Undelivered events on disk."""
        return 0 if self._sender is None else self._sender.spooled

    @property
    def last_error(self) -> str | None:
        """Why deliveries fail; None while they work."""
        backoff = self._backoff
        return None if backoff is None else backoff.last_error

    @property
    def error_lasts(self) -> bool:
        """True where that does not go away by waiting."""
        backoff = self._backoff
        return backoff is not None and backoff.lasts

    @property
    def _backoff(self) -> Backoff | None:
        return self._loading if self._sender is None else self._sender.backoff

    # -- for the app's threads ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, without waiting for it. Does nothing if the process cannot have another one."""
        lifecycle.watch_end()
        self._starting = True
        try:
            _thread.start_new_thread(self._start_thread, ())
        except RuntimeError as error:
            self._starting = False
            if "thread" not in str(error):  # an exception of the app's own signal handler
                raise
            return
        self.running = True
        if is_about_to_fork():  # the thread begins now, to be asleep by then
            deadline = self._clock() + _FALL_ASLEEP_SECONDS
            self._look_until(lambda: self._has_begun, lambda: deadline)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything accepted before the call is delivered or dropped; return False at the time limit."""
        target, requests = self._queue.numbered, self._requests
        if self._is_unused:
            return True
        deadline = self._clock() + timeout_seconds
        if self._sender is not None:
            self._sender.retry_now()
        requests.begin_flush()
        try:
            if self._is_here():
                return False  # called from on_drop: it would wait for itself
            if not self._has_thread():
                self._work(lambda: requests.lowest_unsettled >= target or self._clock() >= deadline)
            self._look_until(lambda: requests.over or requests.lowest_unsettled >= target, lambda: deadline)
            return requests.lowest_unsettled >= target
        finally:
            requests.end_flush()
            if _ends_idle() and not self._is_here():
                self._see_it_end()

    def when_kept(self, call: Callable[[], None]) -> None:
        """Have the thread call back once everything that was accepted before is in the spool, if there is one."""
        self._requests.kept_calls.ask(self._queue.numbered, call)
        if self._requests.over or self._is_unused:
            self._requests.kept_calls.answer_all()
        self._wakeup.ring()

    def _see_it_end(self) -> None:
        """Wait until an idle thread has ended, to its last step; return at once where it has work."""
        latest = self._clock() + _KEEP_SECONDS
        self._look_until(lambda: not self.running or not self._may_end(), lambda: latest)
        if not self.running:
            self._join(_KEEP_SECONDS)

    def _join(self, timeout_seconds: float) -> None:
        """Wait for the threads' last steps: a sub-interpreter aborts the process if one is left when it ends."""
        latest = self._clock() + timeout_seconds
        if self._look_until(lambda: not self._starting, lambda: latest) and self._thread is not None:
            self._thread.join(max(0.0, latest - self._clock()))
            time.sleep(_LONGEST_LOOK_SECONDS)  # for that of the thread which started it

    def stop(self, timeout_seconds: float, *, patience_seconds: float = 0.0) -> None:
        """Deliver what is possible within the time, close the client, keep the rest in the spool.

        Without a spool the rest is counted as ``closed``. For ``patience_seconds`` see ``Requests.ask_to_stop``.
        """
        requests = self._requests
        self._queue.close()
        closing_seconds = timeout_seconds * _CLOSING
        requests.ask_to_stop(self._clock(), timeout_seconds - closing_seconds, patience_seconds)
        if self._is_here() or requests.over:
            return
        if self._is_unused:
            return
        if not (self.running if _ends_idle() else self._has_thread()):
            self._work(lambda: False)
        if not self._look_until(lambda: requests.over, lambda: (requests.stop_at or 0.0) + closing_seconds):
            latest = self._clock() + _KEEP_SECONDS
            keeps = self._sender is None or requests.keeping  # it loads, or writes to the disk
            if not keeps or not self._look_until(lambda: requests.over, lambda: latest):
                self._give_up()
        if _ends_idle():
            self._join(_LAST_STEP_SECONDS)
        self._counts.tell_losses()

    def wait_for_end(self, timeout_seconds: float) -> None:
        """Wait until the thread has seen an opt-out and dropped everything."""
        if self._is_here() or not (self.running or len(self._queue)):
            return
        if not self._has_thread():
            self._work(lambda: False)
        deadline = self._clock() + timeout_seconds
        self._look_until(lambda: self._requests.over, lambda: deadline)

    @property
    def _is_unused(self) -> bool:
        """True if nothing was sent yet."""
        return not self.running and not len(self._queue) and self._sender is None

    def _has_thread(self) -> bool:
        if not self.running:
            self.start()
        return self.running

    def _is_here(self) -> bool:
        return self._ident == _thread.get_ident()

    def _look_until(self, condition: Callable[[], bool], deadline: Callable[[], float]) -> bool:
        pause = _FIRST_LOOK_SECONDS
        while not condition():
            remaining = deadline() - self._clock()
            if remaining <= 0:
                return False
            self._wakeup.ring()
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        return True

    def _give_up(self) -> None:
        """Settle the counts for good, because the thread hangs in the client or the disk; it may come back."""
        if self._sender is not None:
            self._sender.give_up()
        else:
            self._queue.drop_all(self._counts, DropReason.CLOSED)
        self._counts.freeze()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        # On a thread of its own, because ``Thread.start`` waits, which the hub of gevent or eventlet may not do, and
        # breaks if a signal handler raises in the middle of it.
        thread = threading.Thread(target=self._run, name="flowise-telemetry", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there was no room for a second one
            self._run()
        else:
            self._thread = thread
        finally:
            self._starting = False

    def _run(self) -> None:
        self._has_begun = True
        try:
            let_it_fork(lambda: self._requests.flushing or self._requests.stop_at is not None)
            self._work(self._may_end if _ends_idle() else lambda: False)
        finally:
            if not self._requests.over:
                self.running = False  # it is idle, or was killed, as a greenlet can be: the next send starts another
                if self._sender is not None and not self._may_end():
                    self.start()

    def _may_end(self) -> bool:
        """Return True if the thread has nothing to do for now, and nobody waits for it."""
        requests = self._requests
        idle = self._sender is not None and self._sender.is_idle and not len(self._queue)
        return idle and not requests.flushing and requests.stop_at is None

    def _work(self, done: Callable[[], bool]) -> None:
        """Load the sender and let it work until it has stopped or is ``done``, unless another thread does."""
        if self._requests.over or self._unclaimed.pop("work", None) is None:
            return
        self._ident = _thread.get_ident()
        try:
            if self._sender is None:
                self._sender = self._loaded(done)
            if self._sender is None:
                self._requests.lowest_unsettled = self._queue.numbered
                self._requests.over = True
            elif self._sender.run(done):
                self._requests.over = True
        finally:
            self._ident = None
            self._unclaimed["work"] = True

    def _loaded(self, done: Callable[[], bool]) -> Sender | None:
        while True:
            self._requests.progress_at = float("inf")
            try:
                sender = self._load()
            except Exception as error:  # a broken installation; an import that a fork or the end of Python cut short
                backoff = self._load_failed(error)
            else:
                if self._loading is not None:
                    self._loading.succeeded()
                return sender
            self._requests.progress_at = self._clock()
            while (remaining := backoff.wait_seconds()) > 0:
                if done() or self._requests.stop_at is not None:
                    self._queue.drop_all(self._counts, DropReason.CLOSED)
                    return None
                self._wakeup.wait(remaining, has_work=lambda: self._requests.stop_at is not None)

    def _load_failed(self, error: Exception) -> Backoff:
        if self._loading is None:
            with lifecycle.loading():
                from flowise_telemetry.delivery.backoff import Backoff

            failing = "the sender cannot be loaded and is tried again"
            self._loading = Backoff(self._clock, failing=failing, what="loading the sender")
        self._loading.failed(repr(error))
        return self._loading


@functools.cache
def _ends_idle() -> bool:
    """Return True where a thread that waits would be in the way.

    Kept, so that later threads need no lock for it: it is held as long as a client is being made.
    """
    with lifecycle.loading():
        from flowise_telemetry_transport.interpreters import in_sub_interpreter

        return in_sub_interpreter()
