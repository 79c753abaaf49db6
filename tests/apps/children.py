"""Children of a process that send: ``children.py LIBRARY METHOD ENDING CHILDREN``.

Each sends one event and ends; a pool has two that send them all. With the ending "terminated" each is ended by a signal
as soon as its event is on disk.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from sending import send, telemetry  # type: ignore[import-not-found]  # beside it


def work(number: int, ending: str = "returns") -> None:
    send(number)
    if ending == "exits":
        sys.exit(0)


def work_and_wait(number: int, kept: Any) -> None:
    send(number)
    while not (telemetry.stats().spooled or telemetry.stats().sent):
        time.sleep(0.005)
    kept.put(number)
    time.sleep(600)


def main(library: str, method: str, ending: str, count: str) -> None:
    processes = importlib.import_module(library).get_context(method)
    numbers = range(1, int(count) + 1)
    if ending == "pool":
        pool = processes.Pool(2)
        pool.map(work, numbers, 1)
        pool.close()
        pool.join()
    elif ending == "pool in a with block":  # which terminates its children
        with processes.Pool(2) as pool:
            pool.map(work, numbers, 1)
    elif ending == "executor":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(2, processes) as executor:
            list(executor.map(work, numbers))
    elif ending == "terminated":
        kept = processes.Queue()
        children = [processes.Process(target=work_and_wait, args=(number, kept)) for number in numbers]
        for child in children:
            child.start()
        for _ in children:
            kept.get(timeout=120)
        for child in children:
            child.terminate()
            child.join()
    else:
        children = [processes.Process(target=work, args=(number, ending)) for number in numbers]
        for child in children:
            child.start()
        for child in children:
            child.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
