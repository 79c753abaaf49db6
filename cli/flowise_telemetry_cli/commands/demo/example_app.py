"""An app as small as can be, run as a process of its own and told by lines on stdin what to do.

It has nothing but the producer, as an app would; its settings come from the environment. After each line it prints what
it sees of itself, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from flowise_telemetry import Stats, Telemetry, ToolCreated

KAFKA_CLIENTS = ("confluent_kafka", "kafka")
WAIT_SECONDS = 60.0


def main() -> None:
    """Do what the lines say: ``send COUNT FIRST``, ``flush``, ``keep``, ``deliver`` and ``look``."""
    telemetry = Telemetry(app_version="3.0.1")
    for line in sys.stdin:
        match line.split():
            case ["send", count, first]:
                for number in range(int(first), int(first) + int(count)):
                    tool_id = f"00000000-0000-4000-8000-{number:012x}"
                    telemetry.send_telemetry(ToolCreated(tool_id=tool_id, tool_name="get_weather"))
            case ["flush"]:
                telemetry.flush(WAIT_SECONDS)
            case ["keep"]:
                kept = threading.Event()
                telemetry.when_kept(kept.set)
                kept.wait(WAIT_SECONDS)
            case ["deliver"]:
                deadline = time.monotonic() + WAIT_SECONDS
                while not _has_delivered(telemetry.stats()) and time.monotonic() < deadline:
                    time.sleep(0.02)
        sys.stdout.write(json.dumps(_seen(telemetry)) + "\n")
        sys.stdout.flush()
    telemetry.close()


def _has_delivered(stats: Stats) -> bool:
    """Return whether events that an earlier process left were found, and none waits."""
    return stats.recovered > 0 and stats.buffered == 0


def _seen(telemetry: Telemetry) -> dict[str, object]:
    stats = telemetry.stats()
    return {
        "accepted": stats.accepted,
        "sent": stats.sent,
        "recovered": stats.recovered,
        "waiting": stats.buffered,
        "on_disk": stats.spooled,
        "threads": [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()],
        "kafka_clients": [name for name in KAFKA_CLIENTS if name in sys.modules],
    }


if __name__ == "__main__":
    main()
