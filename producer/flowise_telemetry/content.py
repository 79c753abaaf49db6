"""The user's and the app's say in what an event may tell: names of tools, ids as they are, node types of the app."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flowise_telemetry import environment
from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_schemas.events import DISCLOSURE

__all__ = ["Content", "NodeTypes"]

PLAIN, HASHED, OFF = "plain", "hashed", "off"
NodeTypes = Iterable[str] | str | os.PathLike[str]


class Content(NamedTuple):
    """The settings. ``own_node_types`` are kept beside those of the vocabulary.

    ``hash_ids``: every id of the app's database is hashed with the month's key. ``tool_names``: False withholds all.
    ``disclosed`` is the latest disclosure that users were shown; fields of later ones leave with their default.
    ``own_disclosed`` is that of the app's own events, which have numbers of their own; None: all of it.
    """

    own_node_types: frozenset[str] = frozenset()
    hash_ids: bool = False
    tool_names: bool = True
    disclosed: int = DISCLOSURE
    own_disclosed: int | None = None

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        ids: str | None = None,
        tool_names: str | None = None,
        node_types: NodeTypes | None = None,
    ) -> Content:
        """Return what arguments and environment say together; the stricter of them counts.

        Raises ``ConfigurationError`` for what it cannot understand.
        """
        named = environ.get(environment.NODE_TYPES, "").strip()
        own: frozenset[str] = frozenset()
        if node_types is not None or named:
            from flowise_telemetry_schemas.node_types import own_node_types

            own = own_node_types(named if node_types is None else node_types)
        return cls(
            own_node_types=own,
            hash_ids=_is_strict("ids", HASHED, ids, environ.get(environment.IDS, "")),
            tool_names=not _is_strict("tool_names", OFF, tool_names, environ.get(environment.TOOL_NAMES, "")),
        )

    def as_disclosed(self, disclosure: int, own: int | None = None) -> Content:
        """Return the same for users who were shown this disclosure, and this one of the app's own events."""
        return self._replace(disclosed=disclosure, own_disclosed=own)

    def of_own(self) -> Content:
        """Return what applies to events of the app's own."""
        return self._replace(disclosed=sys.maxsize if self.own_disclosed is None else self.own_disclosed)

    def with_node_types(self, more: frozenset[str]) -> Content:
        """Return the same with more node types of the app's own."""
        return self._replace(own_node_types=self.own_node_types | more)

    @classmethod
    def strictest(cls) -> Content:
        """Return what is used in place of settings that cannot be understood."""
        return cls(hash_ids=True, tool_names=False)


def _is_strict(argument: str, strict: str, *given: str | None) -> bool:
    spoken = [str(text).strip().lower() for text in given if text is not None and str(text).strip()]
    if any(text not in (PLAIN, strict) for text in spoken):
        raise ConfigurationError(f"{argument} is neither {PLAIN} nor {strict}", argument=argument)
    return strict in spoken
