"""Node ids as they leave: a type of the vocabulary and a number, or ``other`` and a number."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowise_telemetry_schemas.node_types import OTHER_TYPE, node_types

__all__ = ["NodeIds"]

UNKNOWN_TYPE, NUMBER = "unknown_type", "number"
_NUMBER = re.compile("0|[1-9][0-9]{0,2}")  # a flow has at most a thousand nodes; more digits could be anything


class NodeIds:
    """Tells ids that may be sent from others, and finds the others' place."""

    def __init__(self, own_types: frozenset[str] = frozenset()) -> None:
        self._types = node_types() | own_types

    def may_be_sent(self, node_id: str) -> bool:
        """Return True for a known type with a number."""
        kind, _, number = node_id.rpartition("_")
        return kind in self._types and _NUMBER.fullmatch(number) is not None

    def renamed(self, node_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return, for each id of one flow that may not be sent, the one that stands for it there and the rule.

        One to one: two nodes stay two. A known type keeps its name, all others become ``other``.
        """
        distinct = dict.fromkeys(node_ids)
        taken = {node_id for node_id in distinct if self.may_be_sent(node_id)}
        renamed: dict[str, tuple[str, str]] = {}
        following: dict[str, int] = {}
        for node_id in distinct:
            if node_id in taken:
                continue
            kind, _, number = node_id.rpartition("_")
            known = kind in self._types and number.isdecimal()
            kind, rule = (kind, NUMBER) if known else (OTHER_TYPE, UNKNOWN_TYPE)
            place = following.get(kind, 0)
            while f"{kind}_{place}" in taken:
                place += 1
            following[kind] = place + 1
            renamed[node_id] = f"{kind}_{place}", rule
        return renamed
