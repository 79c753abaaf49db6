"""A spool file larger than memory may hold: recovered whole, oldest first, a window at a time."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import Limits
from flowise_telemetry.encoding.encoder import Encoded
from flowise_telemetry.spool.files import spool_name
from flowise_telemetry.spool.spool_file import SpoolFile
from tests.thoroughness import IS_CI

ROOT = Path(__file__).parents[3]
MIB = 1_048_576
FILE_BYTES = 72 * MIB

# The client acknowledges everything and keeps nothing. What a first, small file costs once is no growth.
RECOVERING = """
import json, sys
from pathlib import Path
from flowise_telemetry import Telemetry
from flowise_telemetry_transport import Delivery
from tests.producer.samples import wait_until
class Acknowledging:
    last_key, in_order, value_bytes = b"", True, 0
    def __init__(self):
        self.held = []
    def send(self, record, on_delivery):
        self.in_order &= record.key > self.last_key
        self.last_key = record.key
        self.value_bytes += len(record.value)
        self.held.append(on_delivery)
    def poll(self):
        held, self.held = self.held, []
        for on_delivery in held:
            on_delivery(Delivery("t", 0, 0), None)
    def flush(self, *, timeout_seconds):
        return 0
    def close(self, *, timeout_seconds):
        self.poll()
def memory(name):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return 1024 * int(line.split()[1])
for folder in sys.argv[1:]:
    before, writer = memory("VmRSS"), Acknowledging()
    telemetry = Telemetry(app_version="3.0.1", spool_dir=folder, writer_factory=lambda: writer)
    wait_until(lambda: telemetry.stats().recovered and not telemetry.stats().buffered, timeout_seconds=120)
    telemetry.close()
    stats = telemetry.stats()
    grown = memory("VmHWM") - before
print(json.dumps({"recovered": stats.recovered, "sent": stats.sent, "dropped": dict(stats.dropped),
                  "in order": writer.in_order, "bytes": writer.value_bytes, "grown": grown}))
"""


def leave_behind(folder: Path, rows: int, row_bytes: int) -> None:
    """Leave the file of a dead process, whose events were accepted a millisecond after each other."""
    folder.mkdir()
    file = SpoolFile.create(folder / spool_name())
    first_ms = time.time_ns() // 1_000_000 - rows
    encoded = (
        Encoded("tool_created", f"01900000-0000-7000-8000-{n:012x}", first_ms + n, n, bytes(row_bytes))
        for n in range(rows)
    )
    while some := list(itertools.islice(encoded, max(1, 4 * MIB // row_bytes))):
        file.add(some)
    file.trim()
    file.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("row_bytes", [512, 65_536] if IS_CI else [65_536])
def test_a_file_larger_than_memory_may_hold_is_recovered_whole_oldest_first(
    row_bytes: int, tmp_path: Path, environ: dict[str, str]
) -> None:
    rows = FILE_BYTES // row_bytes
    leave_behind(tmp_path / "small", 100, row_bytes)
    leave_behind(tmp_path / "large", rows, row_bytes)
    assert sum(file.stat().st_size for file in (tmp_path / "large").iterdir()) >= FILE_BYTES
    done = subprocess.run(
        [sys.executable, "-c", RECOVERING, str(tmp_path / "small"), str(tmp_path / "large")],
        env={**environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    grown = found.pop("grown")
    assert found == {"recovered": rows, "sent": rows, "dropped": {}, "in order": True, "bytes": rows * row_bytes}
    assert grown < Limits().buffer_max_bytes
    assert list((tmp_path / "large").iterdir()) == []
