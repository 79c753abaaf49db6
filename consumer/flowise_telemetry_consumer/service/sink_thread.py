"""The thread that a sink belongs to. It keeps nobody from ending: a server that hangs may never let it go."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["SinkThread"]


class SinkThread(Executor):
    """One thread that works on what is submitted, in its order. It starts with the first of it.

    Unlike that of a ``ThreadPoolExecutor``, the interpreter does not wait for it at its end.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See ``Executor``."""
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # belongs to who asks for the result
                future.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="flowise-telemetry-sink", daemon=True)
            self._thread.start()
        self._work.put(work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See ``Executor``; what is submitted is still worked on."""
        self._work.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
