"""kafka-python 3's network loop, so that its calls have bounds and rebalance callbacks run where ``ports`` says.

There the client has a thread for its input and output. Every blocking call waits for that thread in ``run`` of its
selector, mostly for as long as it takes, and rebalance callbacks run on that thread, where no blocking call can be made
(a commit, say). Ours waits as long as the deadline of the adapter says, and runs the callbacks meanwhile, on the thread
that polls. Those that were not awaited any more are run by the next call.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from flowise_telemetry_transport.kafka_python.deadline import Deadline, OutOfTimeError

__all__ = ["bounded_network_client", "on_polling_thread"]


def bounded_network_client(deadline: Deadline) -> Any:
    """What makes a client that keeps the deadline, for the ``kafka_client`` setting of kafka-python 3."""
    from kafka.net.compat import KafkaNetClient
    from kafka.net.selector import NetworkSelector

    class BoundedSelector(NetworkSelector):  # type: ignore[misc]  # kafka-python ships no types
        def __init__(self, **configs: Any) -> None:
            super().__init__(**configs)
            # What the waiting thread is to do; None says that something it may be waiting for is done.
            self.calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

        def run(self, coro: Any, *args: Any) -> Any:
            remaining = deadline.remaining_ms()
            if remaining is None or self._io_thread is None or threading.current_thread() is self._io_thread:
                return super().run(coro, *args)
            future = self.call_soon_with_future(coro, *args)
            future.add_both(lambda _: self.calls.put(None))
            while not future.is_done:
                try:
                    call = self.calls.get(timeout=(deadline.remaining_ms() or 0) / 1000)
                except queue.Empty:
                    raise OutOfTimeError from None
                if call is not None:
                    call()
            if future.exception is not None:
                raise future.exception
            return future.value

    def client(**configs: Any) -> Any:
        made = KafkaNetClient(net=BoundedSelector(**configs), **configs)
        deadline.on_failure = made.close  # a constructor that fails leaves its thread and its sockets behind
        return made

    return client


def on_polling_thread(consumer: Any, callback: Callable[[Any], None]) -> Any:
    """``callback`` as a coroutine function for kafka-python 3: runs it on the thread that waits for the consumer."""
    from kafka.future import Future

    net = consumer._net

    async def awaited(_listener: Any, partitions: Any) -> None:
        done = Future()

        def call() -> None:
            try:
                callback(partitions)
            finally:
                net.call_soon_threadsafe(finished)

        async def finished() -> None:
            done.success(None)

        net.calls.put(call)
        await done

    return awaited
