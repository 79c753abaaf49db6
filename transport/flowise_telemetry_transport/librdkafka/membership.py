"""Membership in a consumer group through librdkafka: rebalances, and the callbacks that they run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from flowise_telemetry_transport.librdkafka.assignment import Assignment
from flowise_telemetry_transport.ports import RebalanceCallback
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Membership"]


class Membership:
    """What one member gets and gives up. An error of a callback waits for ``poll``: a rebalance must be completed.

    ``rebalances`` counts them; ``in_callback`` is True while a callback of the caller runs, ``is_lost`` while one runs
    for partitions that the group has taken away: nothing can be committed for them.
    """

    def __init__(self, consumer: Any, assignment: Assignment) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._subscribe: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._left = False
        self.in_callback = False
        self.is_lost = False
        self.rebalances = 0

    @property
    def is_member(self) -> bool:
        """True once subscribed."""
        return self._subscribe is not None

    def join(
        self, topics: Sequence[str], on_assigned: RebalanceCallback | None, on_revoked: RebalanceCallback | None
    ) -> None:
        """Subscribe; the callbacks run inside the client's ``poll``."""

        def assigned(consumer: Any, partitions: Sequence[Any]) -> None:
            self.rebalances += 1
            self._take_over(_ours(partitions), on_assigned)

        def revoked(consumer: Any, partitions: Sequence[Any]) -> None:
            self.rebalances += 1
            self._give_up(_ours(partitions), on_revoked)

        def lost(consumer: Any, partitions: Sequence[Any]) -> None:
            self.is_lost = True
            try:
                revoked(consumer, partitions)
            finally:
                self.is_lost = False

        self._subscribe = lambda: self._consumer.subscribe(
            list(topics), on_assign=assigned, on_revoke=revoked, on_lost=lost
        )
        self._subscribe()

    def rejoin(self) -> None:
        """Give everything up without a callback, and join again."""
        assert self._subscribe is not None  # noqa: S101 - a member has subscribed
        self._assignment.clear()
        self._consumer.unsubscribe()
        self._subscribe()

    def leave(self) -> None:
        """Run no more callbacks: the client is about to be closed."""
        self._left = True

    def take_error(self) -> BaseException | None:
        """Return, once, what a callback raised."""
        error, self._error = self._error, None
        return error

    def _take_over(self, partitions: frozenset[TopicPartition], callback: RebalanceCallback | None) -> None:
        self._assignment.begin(partitions)
        self._call(callback, partitions)
        self._assignment.give()

    def _give_up(self, partitions: frozenset[TopicPartition], callback: RebalanceCallback | None) -> None:
        if self._left:
            return
        ours = self._assignment.partitions
        given_up = ours & partitions if self._assignment.incremental else ours
        self._call(callback, given_up)
        self._assignment.remove(given_up)

    def _call(self, callback: RebalanceCallback | None, partitions: Collection[TopicPartition]) -> None:
        if callback is None or not partitions:
            return
        self.in_callback = True
        try:
            callback(partitions)
        except BaseException as error:
            if self._error is None:
                self._error = error
        finally:
            self.in_callback = False


def _ours(partitions: Sequence[Any]) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(tp.topic, tp.partition) for tp in partitions)
