"""An app that offers numbered events, in a process of its own: ``python -m tests.chaos.app FOLDER FIRST CLOCK BUFFER``.

A line ``COUNT PER_SECOND`` on stdin offers so many; each number is in the file ``offered`` before it is offered. At the
end of stdin the app closes and prints what it counted. ``CLOCK`` is by how many seconds its clock is wrong, ``BUFFER``
how many events it keeps.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from flowise_telemetry import Limits, Telemetry
from tests.chaos.numbered_events import VERSION, event_of

CLOSE_SECONDS = 30.0


def main() -> None:
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    first = number
    set_clock(float(sys.argv[3]))
    limits = Limits(buffer_max_events=int(sys.argv[4]), ledger_max_bytes=1 << 30)
    telemetry = Telemetry(app_version=VERSION, limits=limits, first_run_notice=False, flush_on_sigterm=True)
    stream = telemetry.stats().stream_id
    with (folder / "offered").open("ab", buffering=0) as offered:
        tell({"ready": True})
        for line in sys.stdin:
            count, per_second = line.split()
            due = time.monotonic()
            for _ in range(int(count)):
                offered.write(f"{number}\n".encode())
                telemetry.send_telemetry(event_of(number))
                number += 1
                due += 1 / float(per_second)
                time.sleep(max(0.0, due - time.monotonic()))
            tell({"offered": number - first})
    telemetry.close(timeout_seconds=CLOSE_SECONDS)
    stats = telemetry.stats()
    tell(
        {
            "stream": stream,
            "is_whole": stats.stream_id == stream,
            "offered": number - first,
            "dropped": stats.dropped_events,
            "spooled": stats.spooled,
        }
    )


def set_clock(seconds: float) -> None:
    """Let the producer, which asks ``time`` for it, see another time of day."""
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1_000_000_000)


def tell(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
