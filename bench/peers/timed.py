"""Runs a command: ``COMMAND ARGUMENT…``; tells its seconds and the peak of its memory, without that of its children.

A process begins with the peak of the one that starts it (``ru_maxrss`` is kept by execve), so this one stays small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

__all__: list[str] = []

_TIMEOUT_SECONDS = 3_600


def main() -> None:
    begun = time.monotonic()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    limit = threading.Timer(_TIMEOUT_SECONDS, process.kill)
    limit.start()
    _, status, used = os.wait4(process.pid, 0)
    limit.cancel()
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(1)
    print(json.dumps({"seconds": seconds, "peak_mebibytes": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
