"""A script that ends in one of several ways: ``endings.py ENDING EVENTS``; prints the counts of an end that it sees."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import sys
import threading
import time
from typing import Any

EVENTS = int(sys.argv[2])


def send_all() -> None:
    from sending import send  # type: ignore[import-not-found]  # beside it

    for number in range(EVENTS):
        send(number)


def show_counts(stats: Any) -> None:
    counts = {name: getattr(stats, name) for name in ("accepted", "refused", "sent", "buffered")}
    os.write(1, json.dumps({**counts, "closed": stats.dropped.get("closed", 0)}).encode())


class SendsLast:
    """Sends when it is taken apart, which for what hangs on a module is the end of the interpreter."""

    def __init__(self, sending: Any) -> None:
        self.send, self.stats, self.show = sending.send, sending.telemetry.stats, show_counts

    def __del__(self) -> None:
        for number in range(EVENTS):
            self.send(number)
        self.show(self.stats())


def run_in_a_sub_interpreter(last: str) -> None:
    code = f"import sys\nsys.argv = ['endings.py', 'ends', '{EVENTS}']\nsys.path[:] = {sys.path!r}\n"
    code += f"import endings, sending\nendings.send_all()\nsending.telemetry.{last}\n"
    newer = sys.version_info >= (3, 13)
    interpreters: Any = importlib.import_module("_interpreters" if newer else "_xxsubinterpreters")
    run = interpreters.create("legacy") if newer else interpreters.create(isolated=False)
    failed = interpreters.run_string(run, code)
    assert failed is None, failed


def main(ending: str) -> None:
    if ending == "ends":
        send_all()
    elif ending == "in an exit handler":
        import sending  # the producer's own handler is registered now, and runs after this one

        atexit.register(send_all)
    elif ending == "in an earlier exit handler":
        atexit.register(lambda: show_counts(sending.telemetry.stats()))
        atexit.register(send_all)
        import sending
    elif ending == "in a destructor":
        import sending

        sending.last = SendsLast(sending)
    elif ending == "in a thread that ends last":

        def send_later() -> None:
            time.sleep(0.2)
            send_all()

        threading.Thread(target=send_later).start()
    elif ending == "in a sub-interpreter, closed":
        run_in_a_sub_interpreter("close(timeout_seconds=60)")
    elif ending == "in a sub-interpreter, flushed":
        run_in_a_sub_interpreter("flush(60)")


if __name__ == "__main__":
    main(sys.argv[1])
