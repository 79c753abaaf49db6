"""Which views a sink lacks or has in an older form, and which of their names others have taken."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flowise_telemetry_consumer.sinks.account.tables import ACCOUNT_TABLES
from flowise_telemetry_consumer.sinks.views.columns import ShownColumns
from flowise_telemetry_consumer.sinks.views.dialect import Dialect
from flowise_telemetry_consumer.sinks.views.statements import VIEWS, queries
from flowise_telemetry_schemas import EventSchema

__all__ = ["Due", "due_views", "not_made", "warn_of_taken"]

logger = logging.getLogger("flowise_telemetry.consumer")

_MADE_BY = "Made by flowise-telemetry: "
_COMMENT = re.compile(re.escape(_MADE_BY) + r"(\{.*\})")


@dataclass(frozen=True, slots=True)
class Due:
    """A view to be made: its query, the digest of that, and the comment that it has to carry."""

    name: str
    query: str
    comment: str
    digest: str


def due_views(
    schemas: Iterable[EventSchema],
    relations: Mapping[str, str],
    columns_of: Callable[[str], frozenset[str]],
    dialect: Dialect,
    table: Callable[[str], str],
) -> list[Due]:
    """Return the views that are to be made or replaced; those whose name is taken by others are left out.

    ``relations`` are the comments of tables and views that have the name of a view; ``columns_of`` tells the columns of
    a table of ours, none if it is not there; ``table`` what stands for it in FROM.
    """
    ours = {name: said for name, comment in relations.items() if (said := _said(comment)) is not None}
    shown = ShownColumns()
    for said in ours.values():
        shown = said if len(said.kinds) > len(shown.kinds) else shown
    shown = shown.with_events(schemas)
    here = shown.within({event: columns_of(event) for event in shown.events})
    account = frozenset(name for name in ACCOUNT_TABLES if columns_of(name))
    due = []
    for name, query in queries(here, dialect, table, account):
        digest = hashlib.sha256(query.encode()).hexdigest()[:12]
        comment = f"{VIEWS[name].doc} {_MADE_BY}{json.dumps({'sql': digest, **shown.json()}, separators=(',', ':'))}"
        if relations.get(name) != comment and (name not in relations or name in ours):
            due.append(Due(name, query, comment, digest))
    return due


def _said(comment: str) -> ShownColumns | None:
    found = _COMMENT.search(comment)
    return None if found is None else ShownColumns.read(json.loads(found[1]))


def warn_of_taken(shown: str, relations: Mapping[str, str], told: set[str]) -> None:
    """Warn once of relations that others gave the name of a view."""
    taken = sorted(name for name, comment in relations.items() if _said(comment) is None and name not in told)
    if taken:
        told.update(taken)
        logger.warning(
            "%s: %s: not made by flowise-telemetry, and left as it is: a view of that name is there once it is renamed",
            shown,
            ", ".join(taken),
        )


def not_made(shown: str, due: Iterable[Due], why: str, told: set[str]) -> None:
    """Warn once that views could not be made: the sink takes events without them."""
    names = ", ".join(view.name for view in due)
    if names not in told:
        told.add(names)
        logger.warning("%s: events are written, but the views %s could not be made: %s", shown, names, why)
