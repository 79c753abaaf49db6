"""kafka-python-ng 2.2.3: a producer without a thread: at the end of the interpreter, and in a sub-interpreter.

Since Python 3.12 no thread can be started once the main thread has ended (python/cpython#104690), so that what an app
sends at its very end would be lost. The client's I/O thread is an object with a method for one turn of its loop. Where
the thread does not start, we make those turns. In a sub-interpreter we do not start it (``in_sub_interpreter``).

The client also closes every producer when the interpreter ends, by an exit handler of its own, before that of the app
which knows what is still to be sent. We take that handler away: whoever opened the writer closes it.

Unnecessary when the client can be used without a thread, which is not planned.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from flowise_telemetry_transport.interpreters import in_sub_interpreter

__all__ = ["Turns", "make_producer"]

_LONGEST_TURN_SECONDS = 0.02

Turns = Callable[[Callable[[], bool], float], None]
"""Make turns until the condition holds or the time in seconds is up."""


def make_producer(config: dict[str, Any]) -> tuple[Any, Turns | None]:
    """Return a ``KafkaProducer`` and, if it has no thread, what does its work."""
    from kafka import KafkaProducer

    producer = KafkaProducer.__new__(KafkaProducer)
    turns: Turns | None = None
    try:
        with _no_thread() if in_sub_interpreter() else contextlib.nullcontext():
            producer.__init__(**config)
    except RuntimeError as error:
        if "thread" not in str(error) or not hasattr(getattr(producer, "_sender", None), "run_once"):
            raise
        producer._closed = False  # its last steps, after the thread
        turns = _turns_of(producer)
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)
    return producer, turns


@contextlib.contextmanager
def _no_thread() -> Iterator[None]:
    """Let a producer that this thread makes start no thread of its own."""
    from kafka.producer import kafka as module

    sender_class, here = getattr(module, "Sender", None), threading.get_ident()
    if sender_class is None or not hasattr(sender_class, "run_once"):  # kafka-python 3 has one network thread
        yield
        return

    class Threadless(sender_class):  # type: ignore[misc, valid-type]  # known when it is imported
        def start(self) -> None:
            if threading.get_ident() == here:
                raise RuntimeError("no thread is started in a sub-interpreter")
            super().start()

    module.Sender = Threadless
    try:
        yield
    finally:
        module.Sender = sender_class


def _turns_of(producer: Any) -> Turns:
    sender = producer._sender
    client = sender._client
    poll = client.poll

    def short_poll(timeout_ms: float | None = None, future: Any = None) -> Any:
        longest = 1000 * _LONGEST_TURN_SECONDS
        return poll(timeout_ms=longest if timeout_ms is None else min(timeout_ms, longest), future=future)

    client.poll = short_poll

    def make_turns(until: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            sender.run_once()
            if until() or time.monotonic() >= end:
                return

    def look_up(topic: str, max_wait: float) -> Any:
        from kafka import errors

        def known() -> Any:
            return producer._metadata.partitions_for_topic(topic)

        sender.add_topic(topic)
        make_turns(lambda: known() is not None, max_wait)
        if known() is None:
            raise errors.KafkaTimeoutError(f"no metadata within {max_wait:g} s")
        return known()

    # Look-ups of a topic wait for the thread, and so does ``close``.
    producer._wait_on_metadata = look_up
    sender.join = lambda timeout=None: None
    return make_turns
