"""What kafka-python 3 gets wrong about joining a group, mended on one consumer (seen in 3.0.12).

Its join runs on while ``poll`` is not there to wait for it, as the broker answers only once all members have come. The
result of a join that ended between two polls is lost. Mostly the member joins anew, which, if it leads the group,
revokes what every other member has just been given: those hear of it by heartbeat, seconds later, and so members that
poll for short times can keep each other from settling for half a minute and more. If it had joined because a topic's
partitions changed, it does not even do that: it stays without partitions and heartbeats, for good.
And its view of the topics' partitions, whose change makes a leader join again, is taken before the topics are known.
"""

from __future__ import annotations

from typing import Any

__all__ = ["mend_joining", "note_partitions"]


def mend_joining(consumer: Any) -> None:
    """Makes this consumer's next poll take up a join that ended between two polls."""
    coordinator = consumer._coordinator
    if not _joins_by_itself(coordinator):
        return
    from kafka.structs import MemberState

    join = coordinator._do_join_and_sync_async
    ended: tuple[Any, bytes] | None = None

    async def join_once() -> bytes:
        nonlocal ended
        # The state leaves REBALANCING when the result is taken up, the generation changes when membership is lost.
        if ended is not None and coordinator.state == MemberState.REBALANCING and coordinator._generation is ended[0]:
            return ended[1]
        ended = None
        coordinator.request_rejoin()  # holds until the result is taken up, whatever the reason to join was
        assignment: bytes = await join()
        ended = coordinator._generation, assignment
        return assignment

    coordinator._do_join_and_sync_async = join_once


def note_partitions(consumer: Any) -> None:
    """Makes partitions that this consumer knows of no news after its first join. To be called after ``subscribe``."""
    coordinator = consumer._coordinator
    if not _joins_by_itself(coordinator):
        return
    coordinator._handle_metadata_update(coordinator._cluster)


def _joins_by_itself(coordinator: Any) -> bool:
    """Whether it is that of kafka-python 3."""
    return hasattr(coordinator, "_do_join_and_sync_async")
