"""kafka-python-ng 2.2.3: positions that move past records that ``poll`` did not return.

Records fetched for a partition that has been paused since are discarded, yet the next fetch starts after them, so pause
and resume skip records (dpkp/kafka-python#2011). A ``poll`` that raises has already moved past the records that it
drained from other partitions.

Unnecessary with kafka-python 2.1.2 and later, which unpack records when they are returned (dpkp/kafka-python#2555);
``known_position`` stays as long as no public method returns a position without asking the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["known_position", "note_resets", "resume", "seek_back"]


def known_position(consumer: Any, client_tp: Any) -> int | None:
    """Return the position if the client knows it without asking the cluster."""
    state = consumer._subscription.assignment.get(client_tp)
    position = None if state is None else state.position
    # A number, or in kafka-python 2.1 and later a number with its leader's epoch.
    return None if position is None else int(getattr(position, "offset", position))


def seek_back(consumer: Any, positions: Mapping[Any, int | None]) -> None:
    """Restore the positions from before a ``poll`` that raised, of partitions that are still assigned."""
    for client_tp in consumer.assignment():
        offset = positions.get(client_tp)
        if offset is not None:
            consumer.seek(client_tp, offset)


def note_resets(consumer: Any, note: Callable[[Any, int], None]) -> None:
    """Call ``note`` with partition and position whenever the broker does not have the offset that was asked for.

    The client then goes on at the beginning of the log, and only logs that it does.
    """
    subscription = consumer._subscription
    # The second name: kafka-python 3.
    name = "need_offset_reset" if hasattr(subscription, "need_offset_reset") else "request_offset_reset"
    reset = getattr(subscription, name)

    def noted(client_tp: Any, *strategy: Any, **named: Any) -> None:
        position = known_position(consumer, client_tp)
        if position is not None:
            note(client_tp, position)
        reset(client_tp, *strategy, **named)

    setattr(subscription, name, noted)


def resume(consumer: Any, client_partitions: Collection[Any]) -> None:
    """Resume exactly after the last record returned: a seek undoes the jump over discarded records."""
    for client_tp in client_partitions:
        offset = known_position(consumer, client_tp)
        if offset is not None:
            consumer.seek(client_tp, offset)
    consumer.resume(*client_partitions)
