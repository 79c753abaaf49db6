"""A consumer of its own process: ``python -m tests.consumer.sinks.writer_process URL BATCHES REPEAT``.

Prepares the sink, writes that many batches and prints for each a line of JSON: its number and how many events were new.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import catalog
from tests.consumer.sinks.batches import batch

ROOT = Path(__file__).parents[3]


def start(url: str, *, batches: int, repeat: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __name__, url, str(batches), str(repeat)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def main(url: str, batches: str, repeat: str) -> None:
    sink = open_sink(url)
    sink.prepare(catalog())
    for number in range(int(batches)):
        written = sum(sink.write(batch(number, int(repeat))).written.values())
        sys.stdout.write(json.dumps({"batch": number, "written": written}) + "\n")
        sys.stdout.flush()
    sink.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
