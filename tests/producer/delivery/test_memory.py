"""An app whose broker is away does not grow by more than it was told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowise_telemetry import Limits

ROOT = Path(__file__).parents[3]
APP = """
import resource, sys
from pathlib import Path
from flowise_telemetry import Telemetry
from tests.producer.samples import prediction_sent
telemetry = Telemetry(app_version="3.0.1", bootstrap_servers="127.0.0.1:1", first_run_notice=False)
telemetry.send_telemetry(prediction_sent())
telemetry.flush(2.0)  # the client is loaded
def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before = highest = resident_bytes()
refused = prediction_sent()
for number in range(200_000):
    telemetry.send_telemetry(prediction_sent() if number < 40_000 else refused)
    if number % 2_000 == 0:
        highest = max(highest, resident_bytes())
assert telemetry.stats().dropped["queue_full"] > 100_000, telemetry.stats()
print(max(highest, resident_bytes()) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_an_outage_costs_no_more_than_the_buffer(client: str, environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APP],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**environ, "FLOWISE_TELEMETRY_CLIENT": client, "PYTHONPATH": str(ROOT)},
        cwd=environ["FLOWISE_TELEMETRY_CONFIG_DIR"].rpartition("/")[0],
    )
    # A quarter for what an allocator takes at a time, which is not ours to bound.
    assert int(done.stdout) <= Limits().buffer_max_bytes * 1.25
