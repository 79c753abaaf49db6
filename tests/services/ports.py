"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

__all__ = ["free_ports"]

# Below what Linux gives to outgoing connections: a server that is killed and started again finds its port free.
_FIRST, _LAST = 20_000, 32_000


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Give ports of 127.0.0.1 that were free a moment ago; held until the block ends, so that they differ."""
    with contextlib.ExitStack() as held:
        yield [held.enter_context(_bound()).getsockname()[1] for _ in range(count)]


def _bound() -> socket.socket:
    choose = random.SystemRandom()  # the tests seed the usual one, all workers alike
    while True:
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", choose.randint(_FIRST, _LAST)))
        except OSError:
            taken.close()
            continue
        return taken
