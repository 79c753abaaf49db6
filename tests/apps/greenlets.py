"""A program of greenlets that sends: ``greenlets.py gevent|eventlet MOMENT EVENTS``; prints what came of it as JSON.

MOMENT is when the library patches the standard library, or where: see ``MOMENTS`` in ``test_greenlets``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from typing import Any

LONGEST_SECONDS = 60.0


def patch(library: str) -> None:
    warnings.simplefilter("ignore")
    if library == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    else:
        importlib.import_module("eventlet").monkey_patch()


def spawn(library: str, work: Any) -> None:
    importlib.import_module(library).spawn(work)


def event(number: int) -> Any:
    from flowise_telemetry import ToolCreated

    return ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool")


def run(library: str, telemetry: Any, events: int, before: int) -> dict[str, object]:
    """Send from greenlets; meanwhile another one measures for how long it is not let on."""
    longest, ended = 0.0, False

    def tick() -> None:
        nonlocal longest
        last = time.monotonic()
        while not ended:
            time.sleep(0.005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    def send(number: int) -> None:
        time.sleep(0.002 * number)
        telemetry.send_telemetry(event(number))

    spawn(library, tick)
    for number in range(events):
        spawn(library, lambda number=number: send(number))
    deadline = time.monotonic() + LONGEST_SECONDS
    while telemetry.stats().sent < events + before and time.monotonic() < deadline:
        time.sleep(0.01)
    flushed = telemetry.flush(10.0)
    stats = telemetry.stats()
    ended = True
    return {"sent": stats.sent - before, "flushed": flushed, "dropped": dict(stats.dropped), "longest": longest}


def main(library: str, moment: str, events: int) -> None:
    if moment == "before import":
        patch(library)
    import flowise_telemetry

    if moment == "before Telemetry()":
        patch(library)
    telemetry = flowise_telemetry.Telemetry(app_version="3.0.1")
    before = 0
    if moment in ("after a send", "in a child of a parent that sent"):
        telemetry.send_telemetry(event(events))
        if not telemetry.flush(LONGEST_SECONDS):
            raise SystemExit("the parent's own event was not delivered")
        before = 1
    if "child" in moment:
        read, write = os.pipe()
        if os.fork() == 0:
            try:
                patch(library)
                os.write(write, json.dumps(run(library, telemetry, events, 0)).encode())
                telemetry.close()
            finally:
                os._exit(0)
        os.close(write)
        os.wait()
        sys.stdout.write(os.read(read, 4096).decode())
        return
    if moment in ("after Telemetry()", "after a send"):
        patch(library)
    sys.stdout.write(json.dumps(run(library, telemetry, events, before)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
