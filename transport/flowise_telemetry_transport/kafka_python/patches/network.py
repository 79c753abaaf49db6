"""kafka-python 3 (seen in 3.0.12): calls without a time limit, and rebalance callbacks that cannot call the consumer.

The client does its I/O on its own thread. A blocking call waits for that thread in ``NetworkSelector.run``, without a
timeout (dpkp/kafka-python#3121). A rebalance callback runs on that thread, where a blocking call such as ``commit``
raises RuntimeError. Our selector waits no longer than the adapter's deadline, and meanwhile runs the callbacks on the
thread that called ``poll``, as ``ports`` promises. A callback whose call has timed out by then is run by the next call.

Unnecessary in part when ``NetworkSelector.run`` takes a timeout. The callbacks need this file as long as the client
runs them on its I/O thread, which is by design (its alternative is ``AsyncConsumerRebalanceListener``).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from flowise_telemetry_transport.kafka_python.deadline import Deadline, OutOfTimeError

__all__ = ["bounded_network_client", "on_polling_thread"]


def bounded_network_client(deadline: Deadline) -> Any:
    """Return the ``kafka_client`` setting for kafka-python 3: a factory of network clients that keep the deadline."""
    from kafka.net.compat import KafkaNetClient
    from kafka.net.selector import NetworkSelector

    class BoundedSelector(NetworkSelector):  # type: ignore[misc]  # kafka-python ships no types
        def __init__(self, **configs: Any) -> None:
            super().__init__(**configs)
            # Callbacks for the waiting thread to run; None wakes it because a future is done.
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
        deadline.on_failure = made.close  # a constructor that fails leaves thread and sockets open
        return made

    return client


def on_polling_thread(consumer: Any, callback: Callable[[Any], None]) -> Any:
    """Return a coroutine function that has ``callback`` run by the thread that waits for the consumer."""
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
