"""Questions about flows: node types, pairs, sizes, vector stores, tools, and where predictions come from."""

from __future__ import annotations

from flowise_telemetry_report.questions.question import (
    Question,
    QuestionSection,
    Share,
    category,
    count,
    share,
    time,
)

__all__ = ["FLOWS"]

_INSTALLATIONS = count("installations", "Installations")
_FLOWS = count("flows", "Flows")
_OF_FLOWS = count("of_flows", "Of flows")
_FLOW_ONCE = (
    "A flow is what it was when it was last created or asked in the period; "
    "where apps hash ids, it counts once for each month."
)
_OF_ALL = "(SELECT count(DISTINCT chatflow_id) FROM latest)"

FLOWS = QuestionSection(
    "flows",
    "Flows",
    (
        Question(
            id="node_types",
            title="Node types",
            question="Which node types are used, in which part of the flows?",
            chart="bar",
            columns=(
                category("node_type", "Node type"),
                category("vendor", "Vendor"),
                share("share", "Part of flows"),
                _FLOWS,
                _OF_FLOWS,
                _INSTALLATIONS,
            ),
            sql=f"""
SELECT node_type, max(vendor) AS vendor, round(1.0 * count(DISTINCT chatflow_id) / {_OF_ALL}, 4) AS share,
       count(DISTINCT chatflow_id) AS flows, {_OF_ALL} AS of_flows,
       count(DISTINCT instance_id) AS installations
FROM flow_nodes
GROUP BY node_type
ORDER BY flows DESC, node_type
""",
            uses=("latest", "flow_nodes"),
            note=f"{_FLOW_ONCE} Types that are not in the vocabulary are one: other.",
            shares=(Share("share", "flows", "of_flows"),),
        ),
        Question(
            id="pairs",
            title="Connected pairs",
            question="Which node types are connected to which, in how many flows?",
            chart="graph",
            columns=(
                category("source_type", "From"),
                category("target_type", "To"),
                _FLOWS,
                _INSTALLATIONS,
            ),
            sql="""
SELECT source_type, target_type, count(DISTINCT chatflow_id) AS flows, count(DISTINCT instance_id) AS installations
FROM flow_pairs
GROUP BY source_type, target_type
ORDER BY flows DESC, source_type, target_type
LIMIT 2000
""",
            uses=("flow_pairs",),
            note=f"{_FLOW_ONCE} The 2,000 most frequent pairs.",
        ),
        Question(
            id="flow_sizes",
            title="Sizes of flows",
            question="How many nodes do flows have?",
            chart="bar",
            columns=(category("nodes", "Nodes"), share("share", "Part of flows"), _FLOWS, _INSTALLATIONS),
            sql=f"""
SELECT nodes, round(1.0 * count(DISTINCT chatflow_id) / {_OF_ALL}, 4) AS share,
       count(DISTINCT chatflow_id) AS flows, count(DISTINCT instance_id) AS installations
FROM (SELECT chatflow_id, instance_id,
             CASE WHEN size <= 2 THEN '01-02' WHEN size <= 4 THEN '03-04' WHEN size <= 8 THEN '05-08'
                  WHEN size <= 16 THEN '09-16' WHEN size <= 32 THEN '17-32' ELSE '33 and more' END AS nodes
      FROM (SELECT chatflow_id, instance_id, count(*) AS size
            FROM flow_nodes GROUP BY chatflow_id, instance_id) AS sizes) AS classes
GROUP BY nodes
ORDER BY nodes
""",
            uses=("latest", "flow_nodes"),
            note=_FLOW_ONCE,
            known=("nodes",),
            inward=("flows",),
            shares=(Share("share", "flows"),),
        ),
        Question(
            id="origins",
            title="Where predictions come from",
            question="Are flows asked from the app's own interface or from outside?",
            chart="stacked",
            columns=(
                time("month", "Month"),
                category("type", "Origin"),
                share("share", "Part of predictions"),
                count("predictions", "Predictions"),
                _INSTALLATIONS,
            ),
            sql="""
SELECT by_type.month AS month, type, round(1.0 * predictions / of_predictions, 4) AS share,
       predictions, installations
FROM (SELECT month, type, sum(predictions) AS predictions, count(DISTINCT instance_id) AS installations
      FROM (SELECT {month(day)} AS month, type, instance_id, events AS predictions
            FROM usage WHERE event = 'prediction_sent') AS typed
      GROUP BY month, type) AS by_type
JOIN (SELECT month, sum(predictions) AS of_predictions
      FROM (SELECT {month(day)} AS month, events AS predictions
            FROM usage WHERE event = 'prediction_sent') AS untyped
      GROUP BY month) AS whole ON whole.month = by_type.month
ORDER BY by_type.month, type
""",
            uses=("usage",),
            note="INTERNAL: from the app's interface; EXTERNAL: through its API.",
            known=("type",),
            inward=("predictions",),
            shares=(Share("share", "predictions", within=("month",)),),
        ),
        Question(
            id="vector_stores",
            title="Vector stores",
            question="Into which nodes are documents upserted?",
            chart="bar",
            columns=(
                category("node_type", "Node type"),
                _INSTALLATIONS,
                _FLOWS,
                count("upserts", "Upserts"),
            ),
            sql="""
SELECT node_type, count(DISTINCT instance_id) AS installations, count(DISTINCT chatflow_id) AS flows,
       count(*) AS upserts
FROM (SELECT substr(rtrim(stop_node_id, '0123456789'), 1, length(rtrim(stop_node_id, '0123456789')) - 1) AS node_type,
             chatflow_id, instance_id
      FROM all_events
      WHERE event = 'vector_upserted' AND stop_node_id IS NOT NULL AND day >= {since}
        AND {id(instance_id)} NOT IN (SELECT instance_id FROM heavy)) AS stores
GROUP BY node_type
ORDER BY installations DESC, node_type
""",
            uses=("heavy",),
            needs=("all_events",),
            note="Upserts that name the node at which they stopped; the document store's do not.",
            inward=("upserts",),
        ),
        Question(
            id="tools",
            title="Tools",
            question="Which tools do installations make?",
            chart="bar",
            columns=(category("tool_name", "Tool"), _INSTALLATIONS, count("tools", "Tools")),
            sql="""
SELECT tool_name, count(DISTINCT instance_id) AS installations, count(DISTINCT tool_id) AS tools
FROM (SELECT coalesce(tool_name, '(withheld)') AS tool_name, tool_id, instance_id FROM all_events
      WHERE event = 'tool_created' AND day >= {since}
        AND {id(instance_id)} NOT IN (SELECT instance_id FROM heavy)) AS made
GROUP BY tool_name
ORDER BY installations DESC, tool_name
LIMIT 500
""",
            uses=("heavy",),
            needs=("all_events",),
            note="Names that do not look like a function's are withheld by the app. The 500 most frequent.",
            inward=("tools",),
        ),
    ),
)
