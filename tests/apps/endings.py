"""A script that ends in one of several ways: ``endings.py ENDING EVENTS``; prints the counts of an end that it sees."""

from __future__ import annotations

import atexit
import importlib
import json
import sys
import threading
import time
from typing import Any

EVENTS = int(sys.argv[2])


def send_all() -> None:
    from sending import send  # type: ignore[import-not-found]  # beside it

    for number in range(EVENTS):
        send(number)


def show_counts() -> None:
    from sending import telemetry

    stats = telemetry.stats()
    counted = {"accepted": stats.accepted, "refused": stats.refused, "sent": stats.sent, "dropped": dict(stats.dropped)}
    sys.stdout.write(json.dumps({**counted, "buffered": stats.buffered}))


class SendsLast:
    """Sends when it is taken apart, which for what hangs on a module is the end of the interpreter."""

    def __del__(self) -> None:
        send_all()
        show_counts()


def run_in_a_sub_interpreter() -> None:
    code = f"import sys\nsys.argv = ['endings.py', 'ends', '{EVENTS}']\nsys.path[:] = {sys.path!r}\n"
    code += "import endings\nendings.send_all()\n"
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
        atexit.register(show_counts)
        atexit.register(send_all)
        import sending
    elif ending == "in a destructor":
        import sending

        sending.last = SendsLast()
    elif ending == "in a thread that ends last":

        def send_later() -> None:
            time.sleep(0.2)
            send_all()

        threading.Thread(target=send_later).start()
    elif ending == "in a sub-interpreter":
        run_in_a_sub_interpreter()


if __name__ == "__main__":
    main(sys.argv[1])
