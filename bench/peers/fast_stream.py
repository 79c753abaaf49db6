"""FastStream on confluent-kafka: decodes every event and counts it: ``SERVERS TOPIC COUNT GROUP SCHEMA_FOLDER``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

from faststream.confluent import KafkaBroker  # type: ignore[import-not-found]  # of this peer's environment

from bench.peers.decoding import decoder
from bench.peers.measured import Measured

__all__: list[str] = []


async def consume() -> None:
    servers, topic, count, group, folder = sys.argv[1:]
    decode = decoder(folder)
    measured = Measured()
    counts: Counter[str] = Counter()
    seen = 0
    done = asyncio.Event()
    broker = KafkaBroker(servers, logger=None)

    @broker.subscriber(topic, group_id=group, auto_offset_reset="earliest")  # type: ignore[untyped-decorator]  # not here
    async def take(value: bytes) -> None:
        nonlocal seen
        measured.begin()
        if seen == int(count):
            return
        event, _ = decode(value)
        counts[event] += 1
        seen += 1
        if seen == int(count):
            measured.end(counts)
            done.set()

    measured.connecting()
    await broker.start()
    await done.wait()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(consume())
