"""Replays: fill a sink from a topic or an archive, beside the live consumers and without touching their group."""

from flowise_telemetry_consumer.archives.opening import archive_of
from flowise_telemetry_consumer.replay.archive_dry_run import ArchivePlan, plan_archive
from flowise_telemetry_consumer.replay.archive_mark import begin_archive, finish_archive
from flowise_telemetry_consumer.replay.archive_result import ArchiveEvent, ArchiveResult
from flowise_telemetry_consumer.replay.bounds import Bound, time_text
from flowise_telemetry_consumer.replay.checkpoints import (
    ReplayCheckpoint,
    find_run,
    latest_run,
    list_runs,
)
from flowise_telemetry_consumer.replay.dry_run import PartitionPlan, ReplayPlan, plan_replay
from flowise_telemetry_consumer.replay.filters import RecordFilter
from flowise_telemetry_consumer.replay.from_files import ImportRequest, import_archive, import_files
from flowise_telemetry_consumer.replay.from_sink import replay_archive
from flowise_telemetry_consumer.replay.from_snapshot import archive_run_id, replay_source
from flowise_telemetry_consumer.replay.loop import advance_run, replay
from flowise_telemetry_consumer.replay.preconditions import require_another_topic, require_finished, require_own_rows
from flowise_telemetry_consumer.replay.report import OnReport, PartitionResult, ReplayResult, ranges_text
from flowise_telemetry_consumer.replay.request import ReplayRequest, Shard
from flowise_telemetry_consumer.replay.resume import open_run
from flowise_telemetry_consumer.replay.sources import open_source
from flowise_telemetry_consumer.replay.to_topic import copy_topic
from flowise_telemetry_consumer.replay.workers import (
    open_target,
    replay_with_workers,
    require_many_writers,
)
from flowise_telemetry_consumer.sinks.kafka_topic import TOPIC_SCHEME, TopicSink, topic_of

__all__ = [
    "TOPIC_SCHEME",
    "ArchiveEvent",
    "ArchivePlan",
    "ArchiveResult",
    "Bound",
    "ImportRequest",
    "OnReport",
    "PartitionPlan",
    "PartitionResult",
    "RecordFilter",
    "ReplayCheckpoint",
    "ReplayPlan",
    "ReplayRequest",
    "ReplayResult",
    "Shard",
    "TopicSink",
    "advance_run",
    "archive_of",
    "archive_run_id",
    "begin_archive",
    "copy_topic",
    "find_run",
    "finish_archive",
    "import_archive",
    "import_files",
    "latest_run",
    "list_runs",
    "open_run",
    "open_source",
    "open_target",
    "plan_archive",
    "plan_replay",
    "ranges_text",
    "replay",
    "replay_archive",
    "replay_source",
    "replay_with_workers",
    "require_another_topic",
    "require_finished",
    "require_many_writers",
    "require_own_rows",
    "time_text",
    "topic_of",
]
