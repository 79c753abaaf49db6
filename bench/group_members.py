"""How fast one or more members of one group bring a topic into one sink, seen from outside by what is committed."""

from __future__ import annotations

import signal
import time

from bench.runs import new_group, start_ours
from bench.topic import FilledTopic
from flowise_telemetry_transport import KafkaSettings, TopicPartition, open_reader

__all__ = ["members_per_second"]

_LOOK_SECONDS = 0.05
_TIMEOUT_SECONDS = 900.0
_STOP_SECONDS = 60.0


def members_per_second(filled: FilledTopic, sink: str, members: int) -> float:
    """Events a second while every member has its share; each has a core of its own.

    A consumer polls on one thread and decodes and writes on another: with two cores to itself one is as good as two.
    """
    group = new_group()
    settings = KafkaSettings.from_env({"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": filled.servers})
    reader = open_reader(settings, group=group)
    partitions = reader.partitions_of(filled.topic)
    ends = reader.end_offsets(partitions)
    running = [start_ours("librdkafka", filled, sink, group, core=number) for number in range(members)]
    try:
        samples: list[tuple[float, int]] = []
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            done = _committed(reader.committed(partitions))
            samples.append((time.monotonic(), done))
            if done >= sum(ends.values()):
                break
            if time.monotonic() > deadline or any(process.poll() is not None for process in running):
                raise SystemExit(f"error: {members} members committed {done} of {sum(ends.values())}")
            time.sleep(_LOOK_SECONDS)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(_STOP_SECONDS)
        reader.close()
    return _rate(samples)


def _committed(offsets: dict[TopicPartition, int | None]) -> int:
    return sum(offset or 0 for offset in offsets.values())


def _rate(samples: list[tuple[float, int]]) -> float:
    """Of the later half, but for the last tenth.

    A member that came first has all partitions until its next heartbeat, for seconds; the last stragglers are alone.
    """
    total = samples[-1][1]
    begun = next(sample for sample in samples if sample[1] >= total * 0.4)
    ended = next(sample for sample in samples if sample[1] >= total * 0.9)
    return (ended[1] - begun[1]) / max(ended[0] - begun[0], _LOOK_SECONDS)
