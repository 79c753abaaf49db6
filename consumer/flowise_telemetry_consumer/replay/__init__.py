"""Filling a sink from what a topic holds, beside the live consumers and without touching their group."""

from flowise_telemetry_consumer.replay.arguments import ReplayArguments, Shard
from flowise_telemetry_consumer.replay.bounds import Bound, time_text
from flowise_telemetry_consumer.replay.result import OnReplayProgress, PartitionResult, ReplayResult, ranges_text
from flowise_telemetry_consumer.replay.run import replay
from flowise_telemetry_consumer.replay.runs import ReplayRun, UnknownRunError, find_run, list_runs
from flowise_telemetry_consumer.replay.selection import Selection

__all__ = [
    "Bound",
    "OnReplayProgress",
    "PartitionResult",
    "ReplayArguments",
    "ReplayResult",
    "ReplayRun",
    "Selection",
    "Shard",
    "UnknownRunError",
    "find_run",
    "list_runs",
    "ranges_text",
    "replay",
    "time_text",
]
