"""kafka-python 3 (seen in 3.0.12): the result of a join that ends between two polls is lost.

The join runs on the client's own thread and goes on after the ``poll`` that began it has timed out, as the broker
answers only once all members have come. The next ``poll`` finds the task done and starts another one without looking at
its result (``BaseCoordinator.join_group_async``). Usually the member then joins again, which, if it is the leader,
revokes what every other member was just assigned. They learn of it by heartbeat, seconds later, so members with short
polls can keep a group from settling for half a minute and more. A member that joined because the number of partitions
changed never joins again: it stays without partitions, sending heartbeats.

Two smaller faults of groups are patched as well: the snapshot of partitions whose change makes the leader rejoin is
taken before the topics are known, and pauses and positions outlive a rebalance.

Unnecessary once ``join_group_async`` takes the result of a task that is done. ``make test-kafka-python-3`` without
``mend_joining`` shows it: test_groups.py, ``test_a_share_given_while_nobody_polls_is_kept``.
"""

from __future__ import annotations

from typing import Any

from flowise_telemetry_transport.kafka_python.release import is_kafka_python_3

__all__ = ["forget_assignment", "forget_membership", "mend_joining", "note_partitions"]


def mend_joining(consumer: Any) -> None:
    """Make this consumer's next poll use the result of a join that ended between two polls."""
    coordinator = consumer._coordinator
    if not _joins_by_itself(coordinator):
        return
    from kafka.structs import MemberState

    join = coordinator._do_join_and_sync_async
    ended: tuple[Any, bytes] | None = None

    async def join_once() -> bytes:
        nonlocal ended
        # The state leaves REBALANCING when the result is used; the generation changes when membership is lost.
        if ended is not None and coordinator.state == MemberState.REBALANCING and coordinator._generation is ended[0]:
            return ended[1]
        ended = None
        coordinator.request_rejoin()  # stays set until the result is used, whatever the reason for joining
        assignment: bytes = await join()
        ended = coordinator._generation, assignment
        return assignment

    coordinator._do_join_and_sync_async = join_once


def note_partitions(consumer: Any) -> None:
    """Make the leader's snapshot of partitions current, so that its first join is not followed by another.

    Call after ``subscribe``.
    """
    coordinator = consumer._coordinator
    if not _joins_by_itself(coordinator):
        return
    coordinator._handle_metadata_update(coordinator._cluster)


def forget_assignment(consumer: Any) -> None:
    """Make a rebalance end pauses, and partitions that are assigned again start at the committed offset."""
    if is_kafka_python_3(consumer):
        consumer._subscription.assign_from_subscribed([])


def forget_membership(consumer: Any) -> None:
    """Make the next poll join the group as a new member.

    The client does so itself once the coordinator has answered its ``LeaveGroup``. Without that answer it would go on
    as the member that it was, with its next subscription taken for joined already, and read nothing.
    """
    consumer._coordinator.reset_generation()


def _joins_by_itself(coordinator: Any) -> bool:
    """Return True for the coordinator of kafka-python 3."""
    return hasattr(coordinator, "_do_join_and_sync_async")
