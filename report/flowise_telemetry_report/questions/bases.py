"""Rows that several questions start from: events by day and installation, what is set apart, the nodes of flows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowise_telemetry_report.questions.question import Base

__all__ = ["BASES", "HEAVY_EVENTS_A_DAY", "bases_for"]

HEAVY_EVENTS_A_DAY = 100_000
"""Events of one installation on one day past which it is set apart: more than one a second, day and night."""

_LIGHT = "instance_id NOT IN (SELECT instance_id FROM heavy)"

BASES = (
    Base(
        "daily",
        """
SELECT day, event, version, type, {id(instance_id)} AS instance_id, events
FROM (SELECT day, event, version, type, instance_id, count(*) AS events
      FROM all_events
      WHERE day >= {since}
      GROUP BY day, event, version, type, instance_id) AS counted
""",
        needs=("all_events",),
    ),
    Base(
        "heavy",
        """
SELECT DISTINCT instance_id
FROM (SELECT instance_id, day, sum(events) AS events_a_day FROM daily GROUP BY instance_id, day) AS days
WHERE events_a_day > {heavy}
""",
        uses=("daily",),
    ),
    Base(
        "usage",
        f"SELECT day, event, version, type, instance_id, events FROM daily WHERE {_LIGHT}",
        uses=("daily", "heavy"),
        kept=False,
    ),
    Base(
        "latest",
        """
SELECT event_id, {id(chatflow_id)} AS chatflow_id, {id(instance_id)} AS instance_id
FROM (SELECT {latest} AS event_id, chatflow_id, instance_id
      FROM all_events
      WHERE event IN ('chatflow_created', 'prediction_sent') AND day >= {since}
      GROUP BY chatflow_id, instance_id) AS newest
WHERE {id(instance_id)} NOT IN (SELECT instance_id FROM heavy)
""",
        uses=("heavy",),
        needs=("all_events",),
    ),
    Base(
        "flow_nodes",
        "SELECT chatflow_id, instance_id, node_type, vendor FROM nodes WHERE {is_latest}",
        uses=("latest",),
        needs=("nodes",),
        kept=False,
    ),
    Base(
        "flow_pairs",
        "SELECT chatflow_id, instance_id, source_type, target_type FROM edges WHERE {is_latest}",
        uses=("latest",),
        needs=("edges",),
        kept=False,
    ),
    Base(
        "stream_totals",
        "SELECT * FROM streams WHERE last_at >= {since_time}",
        needs=("streams",),
    ),
)
"""Each after those that it uses."""


def bases_for(names: Iterable[str]) -> Sequence[Base]:
    """Return the bases of these names and those that they use, each after those that it uses itself."""
    wanted = set(names)
    for base in reversed(BASES):
        if base.name in wanted:
            wanted.update(base.uses)
    return [base for base in BASES if base.name in wanted]
