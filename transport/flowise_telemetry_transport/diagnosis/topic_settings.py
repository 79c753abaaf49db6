"""The settings of a topic that lose, refuse or delay records, each looked at for itself."""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning
from flowise_telemetry_transport.diagnosis.requests import TopicState
from flowise_telemetry_transport.topics import MAX_DEAD_LETTER_BYTES

__all__ = ["record_size", "replication", "retention"]

_MAX_RECORD_BYTES = 1_048_576  # of a writer, by default (clients.open_writer)
_DAY_MS = 86_400_000
_START = "start the brokers that are down"


def replication(name: str, topic: str, state: TopicState, least: int | None) -> Finding:
    """Return how many copies there are, and whether as many as ``least`` (``min.insync.replicas``) can be had."""
    called, copies, synced = f"{name}: replication", state.replicas, state.in_sync
    says = f"{topic} has {copies} replica{'' if copies == 1 else 's'} of each partition"
    says += "" if least is None else f", and min.insync.replicas={least}"
    wanted = least or 0
    for holds, tell, more, mend in (
        (wanted > copies, failed, ": no record is ever accepted", "lower min.insync.replicas, or add replicas"),
        (synced < wanted, failed, f"; only {synced} in sync: no record is accepted", _START),
        (synced < copies, warning, f"; only {synced} in sync", _START),
        (copies == 1, warning, ": what is lost with its disk is lost for good", "have 3 where there are 3 brokers"),
        (wanted == copies, warning, ": one broker that restarts stops all writing", f"set it to {wanted - 1}"),
        (wanted == 1, warning, ": one disk may lose what was acknowledged", "set min.insync.replicas=2"),
    ):
        if holds:
            return tell(called, says + more, mend)
    return ok(called, says)


def retention(name: str, topic: str, settings: Mapping[str, str]) -> Finding:
    """Return how long records stay."""
    called = f"{name}: retention"
    if "delete" not in settings.get("cleanup.policy", "delete"):
        return warning(called, f"{topic} is compacted, so that nothing in it ever ends", "set cleanup.policy=delete")
    ms, size = int(settings.get("retention.ms", "-1")), int(settings.get("retention.bytes", "-1"))
    parts = ["for ever" if ms < 0 else f"for {ms / _DAY_MS:.3g} days"]
    parts += [f"at most {size:,} bytes of them a partition"] if size >= 0 else []
    says = f"{topic} keeps records {', '.join(parts)}"
    if 0 <= ms < _DAY_MS:
        return warning(called, f"{says}: a longer outage of the consumer loses events", "raise retention.ms")
    return ok(called, says)


def record_size(name: str, topic: str, most: int, *, holds_letters: bool) -> Finding:
    """Return whether the topic takes what clients make: a record of the default bound, a dead letter with its value."""
    called, says = f"{name}: record size", f"{topic} takes up to {most:,} bytes at once (max.message.bytes)"
    if holds_letters and most < MAX_DEAD_LETTER_BYTES:
        return warning(
            called, f"{says}: a larger dead letter is filed without its value", f"set it to {MAX_DEAD_LETTER_BYTES}"
        )
    if not holds_letters and most < _MAX_RECORD_BYTES:
        refused = f"{says}, less than a record may have ({_MAX_RECORD_BYTES:,}): larger ones are refused"
        return warning(called, refused, f"set it to {_MAX_RECORD_BYTES}")
    return ok(called, says)
