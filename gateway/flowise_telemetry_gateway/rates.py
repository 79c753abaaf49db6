"""Token buckets: how many events a key, or an installation, may send."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

__all__ = ["Rates"]


class Rates:
    """One bucket for each name; ``max_names`` are remembered, and the one unused for the longest is forgotten first.

    A bucket is full at the beginning. ``per_second`` 0 is no bound.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst_seconds: float,
        max_names: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = per_second * burst_seconds
        self._max_names = max_names
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def wait_seconds(self, events: Mapping[str, int], *, takes: bool = True) -> int:
        """Take a token for each event and return 0; or take none, and return in how many whole seconds to ask again.

        More than a bucket ever holds is taken from a full one. ``takes`` False: only look.
        """
        if not self._per_second:
            return 0
        now, burst = self._clock(), self._burst
        missing = 0.0
        left = {}
        for name, count in events.items():
            tokens = burst
            if name in self._levels:
                tokens, at = self._levels[name]
                tokens = min(burst, tokens + (now - at) * self._per_second)
            if count > tokens < burst:
                missing = max(missing, min(count, burst) - tokens)
            left[name] = tokens - count if tokens > count else 0.0
        if missing:
            return math.ceil(missing / self._per_second)
        if not takes:
            return 0
        for name, tokens in left.items():
            self._levels[name] = (tokens, now)
            self._levels.move_to_end(name)
        while len(self._levels) > self._max_names:
            self._levels.popitem(last=False)
        return 0
