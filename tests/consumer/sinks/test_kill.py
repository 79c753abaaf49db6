"""A consumer that is killed at any moment: rows and progress agree, and the next one goes on from there."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.writer_process import ROOT

TP0 = TopicPartition("flowise.telemetry.events", 0)
REPEAT = 40
KILL_AFTER_LINES = (1, 4, 2, 7, 1, 3, 1, 2, 5, 1) if os.environ.get("CI") == "true" else (1, 4, 2, 7)
BATCHES = 30 * len(KILL_AFTER_LINES) // 4


def write_on(url: str) -> None:
    """Writes from where the source is to its end, an offset to a batch, and says each."""
    sink = open_claimed(url)
    sink.prepare(catalog())
    start = sink.claim("group", [TP0]).get(TP0, 0)
    for number in range(start, BATCHES):
        sink.write(replace(batch(number, REPEAT), offsets={TP0: number + 1}, source="group"))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    sink.close()


@pytest.mark.in_another_process
@pytest.mark.slow
@pytest.mark.xdist_group("kills")
def test_killed_again_and_again_it_ends_with_every_row_once(database_url: str) -> None:
    one = sizes(batch(repeat=REPEAT))
    code = f"from tests.consumer.sinks.test_kill import write_on; write_on({database_url!r})"
    seen = 0
    for lines in (*KILL_AFTER_LINES, 0):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout
        confirmed = [int(process.stdout.readline()) for _ in range(lines)]
        if lines:
            process.kill()
        confirmed += [int(line) for line in process.stdout]
        process.wait(120)
        process.stdout.close()
        assert confirmed[0] >= seen, "what was written is not written again"
        seen = confirmed[-1] + 1
        reader = open_claimed(database_url)
        offset = reader.claim("group", [TP0])[TP0]
        assert seen <= offset <= seen + 1
        assert reader.counts() == {event: offset * size for event, size in one.items()}
        reader.close()
    assert seen == BATCHES
