"""quixstreams: decodes every event and counts it, without a sink: ``SERVERS TOPIC COUNT GROUP SCHEMA_FOLDER``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # of this peer's environment

from bench.peers.decoding import decoder
from bench.peers.measured import Measured

__all__: list[str] = []


def main() -> None:
    servers, topic, count, group, folder = sys.argv[1:]
    decode = decoder(folder)
    measured = Measured()
    counts: Counter[str] = Counter()
    app = Application(
        broker_address=servers, consumer_group=group, auto_offset_reset="earliest", auto_create_topics=False,
        use_changelog_topics=False, loglevel="ERROR",
    )  # fmt: skip
    seen = 0

    def take(value: bytes) -> dict[str, Any]:
        nonlocal seen
        measured.begin()
        decoded: tuple[str, dict[str, Any]] = decode(value)
        event, record = decoded
        counts[event] += 1
        seen += 1
        if seen == int(count):
            measured.end(counts)
            app.stop()
        return record

    frame = app.dataframe(app.topic(topic, key_deserializer="bytes", value_deserializer="bytes"))
    frame.apply(take)
    measured.connecting()
    app.run()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
