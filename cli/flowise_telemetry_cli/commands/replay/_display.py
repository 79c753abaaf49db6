"""A replay as the progress display shows it: a bar for each partition, and a line for all of them."""

from __future__ import annotations

from typing import Any

from flowise_telemetry_cli.output.progress import Status, estimate_text, percent, rate_text
from flowise_telemetry_cli.output.terminal import Bar
from flowise_telemetry_consumer import ReplayResult
from flowise_telemetry_consumer.replay import ArchiveResult
from flowise_telemetry_consumer.replay.report import PartitionResult

__all__ = ["archive_status", "replay_document", "replay_status"]

_MAX_BARS = 16


def replay_status(result: ReplayResult, seconds: float) -> Status:
    """Return the state of a replay for people, with bars for the 16 partitions that are farthest from their end."""
    done, total = result.offsets_read, result.offsets
    here = sum(part.offsets_read for part in result.partitions.values())
    text = _joined(
        f"replayed {done:,} of {total:,} offsets ({percent(done, total)} %)",
        rate_text(here, seconds),
        estimate_text(total - done, here, seconds),
        f"written {result.written.total():,}",
    )
    farthest = sorted(result.partitions.items(), key=lambda item: item[1].position - item[1].end)[:_MAX_BARS]
    return Status(text, [_bar(tp.partition, part, seconds) for tp, part in sorted(farthest)])


def replay_document(result: ReplayResult, seconds: float) -> dict[str, Any]:
    """Return the state of a replay for programs."""
    return {
        "replay": result.run,
        "seconds": round(seconds, 1),
        "offsets": result.offsets,
        "offsets_read": result.offsets_read,
        "written": result.written.total(),
        "partitions": {
            str(tp.partition): {"start": part.start, "position": part.position, "end": part.end}
            for tp, part in sorted(result.partitions.items())
        },
    }


def archive_status(result: ArchiveResult, seconds: float) -> Status:
    """Return the state of a replay that reads a sink or files."""
    read = f"replayed {result.read:,} of {result.total:,} events"
    left = estimate_text(result.total - result.read, result.read, seconds)
    if result.bytes_total:
        read = f"read {result.read:,} events ({percent(result.bytes_done, result.bytes_total)} %)"
        left = estimate_text(result.bytes_total - result.bytes_done, result.bytes_done, seconds)
    elif not any(event.total is not None for event in result.events.values()):
        read, left = f"read {result.read:,} events", ""
    rejected = f"rejected {result.rejected:,}" if result.rejected else ""
    return Status(_joined(read, rate_text(result.read, seconds), left, f"written {result.written:,}", rejected))


def _bar(partition: int, part: PartitionResult, seconds: float) -> Bar:
    done, total = part.position - part.start, part.end - part.start
    rate = rate_text(part.offsets_read, seconds)
    left = estimate_text(total - done, part.offsets_read, seconds)
    return Bar(f"partition {partition}", done, total, _joined(f"{done:,} of {total:,}", rate, left))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
