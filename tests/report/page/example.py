"""A report out of generated numbers, as of an app that many use: ``python -m tests.report.page.example`` prints it."""

from __future__ import annotations

import datetime
import random
import sys

from flowise_telemetry_report import Column, Figure, Report, Section
from flowise_telemetry_report.page import render

K = 20
FIRST = datetime.date(2026, 10, 28)
DAYS = [(FIRST + datetime.timedelta(days=day)).isoformat() for day in range(30)]
VERSIONS = ("3.1.0", "3.0.12", "3.0.11", "3.0.8", "3.0.1", "2.2.7")
NODES = (
    "chatOpenAI",
    "openAIEmbeddings",
    "conversationChain",
    "bufferMemory",
    "pdfFile",
    "recursiveCharacterTextSplitter",
    "pinecone",
    "conversationalRetrievalQAChain",
    "toolAgent",
    "chatPromptTemplate",
    "llmChain",
    "chatAnthropic",
    "postgres",
    "inMemoryVectorStore",
    "cheerioWebScraper",
    "textFile",
    "customTool",
    "calculator",
    "serpAPI",
    "chatOllama",
    "ollamaEmbeddings",
    "chroma",
    "faiss",
    "qdrant",
    "redisBackedChatMemory",
    "structuredOutputParser",
    "azureChatOpenAI",
    "googleGenerativeAI",
    "csvFile",
    "docxFile",
)

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}{b|c}\u2028&amp;"
"""A tool that someone named so."""


def example() -> Report:
    """Return the same report each time, with each kind of chart and withheld cells among its numbers."""
    numbers = random.Random(17)
    return Report(
        generated_at="2026-11-27T21:00:00Z",
        since="2026-10-28T00:00:00Z",
        sink="postgresql",
        k=K,
        sections=(
            Section("activity", "Activity", (_totals(), _by_day(numbers), _predictions(numbers))),
            Section("installations", "Installations", (_versions(numbers), _retention(numbers))),
            Section("flows", "Flows", (_nodes(numbers), _pairs(numbers), _sizes(numbers), _tools(numbers))),
            Section("honesty", "What is missing", (_lost(numbers), _empty())),
        ),
        notes=(
            "An installation is a random id that changes each calendar month; nothing here follows one across months.",
            "Days are in UTC.",
        ),
    )


def _withhold(value: int) -> int | None:
    return value if value >= K else None


def _totals() -> Figure:
    columns = (
        Column("events", "Events", "count"),
        Column("installations", "Installations, each in its month", "count"),
        Column("flows", "Flows", "count"),
        Column("external", "Predictions from outside", "share"),
    )
    query = "SELECT count(*) AS events, count(DISTINCT instance_id) AS installations\nFROM all_events"
    return Figure("totals", "Totals", "How much came in?", "number", columns, ((1284913, 4312, 20871, 0.6213),), query)


def _by_day(numbers: random.Random) -> Figure:
    rows = tuple(
        (day, 38000 + int(9000 * numbers.random()) - 14000 * (n % 7 in (3, 4)), 900 + numbers.randrange(200))
        for n, day in enumerate(DAYS)
    )
    return Figure(
        "events_by_day",
        "Events and installations by day",
        "How many events arrived on each day, and from how many installations?",
        "line",
        (
            Column("day", "Day (UTC)", "time"),
            Column("events", "Events", "count"),
            Column("installations", "Installations", "count"),
        ),
        rows,
        "SELECT CAST(occurred_at AS DATE) AS day, count(*) AS events,\n"
        "  count(DISTINCT instance_id) AS installations\nFROM all_events GROUP BY 1 ORDER BY 1",
    )


def _predictions(numbers: random.Random) -> Figure:
    rows = tuple(
        (day, kind, _withhold(base + numbers.randrange(spread)))
        for day in DAYS
        for kind, base, spread in (("EXTERNAL", 21000, 8000), ("INTERNAL", 11000, 3000), ("EVALUATION", 5, 60))
    )
    return Figure(
        "predictions",
        "Predictions by origin",
        "Are flows used through the API, or tried out in the editor?",
        "stacked",
        (
            Column("day", "Day (UTC)", "time"),
            Column("type", "Origin", "category"),
            Column("predictions", "Predictions", "count"),
        ),
        rows,
        "SELECT CAST(occurred_at AS DATE) AS day, type, count(*) FROM prediction_sent GROUP BY 1, 2",
        suppressed=sum(row[2] is None for row in rows),
    )


def _versions(numbers: random.Random) -> Figure:
    rows: list[tuple[str, str, float | None]] = []
    for n, day in enumerate(DAYS[::3]):
        weights = [max(0.1, 1 + n * 0.4 * (2 - rank) + numbers.random()) for rank in range(len(VERSIONS))]
        rows += [(day, version, weight / sum(weights)) for version, weight in zip(VERSIONS, weights, strict=True)]
    rows[5] = (rows[5][0], rows[5][1], None)
    return Figure(
        "versions",
        "Adoption of versions",
        "Which versions of the app do installations run?",
        "line",
        (
            Column("day", "Day (UTC)", "time"),
            Column("version", "Version", "category"),
            Column("share", "Share of installations", "share"),
        ),
        tuple(rows),
        "SELECT day, version, share FROM versions_by_day",
        note="An installation that was upgraded counts for both versions on that day.",
        suppressed=1,
    )


def _retention(numbers: random.Random) -> Figure:
    rows = tuple(
        (f"Days {first * 7 + 1} to {first * 7 + 7}", f"+{week} weeks", None if week == 3 else 1 / (1 + week * 0.7))
        for first in range(4)
        for week in range(4 - first)
    )
    return Figure(
        "retention",
        "Retention within a month",
        "Of the installations that were first seen in a week, how many came back in the weeks after?",
        "heatmap",
        (
            Column("first_week", "First seen", "category"),
            Column("later", "Seen again", "category"),
            Column("share", "Share of installations", "share"),
        ),
        rows,
        "SELECT first_week, later, share FROM retention",
        note="Ids change with the month, so that no installation can be followed past its end.",
        suppressed=1,
    )


def _nodes(numbers: random.Random) -> Figure:
    flows = sorted((int(14000 / (rank + 1) ** 0.9) + numbers.randrange(60) for rank in range(len(NODES))), reverse=True)
    rows = tuple((node, count, count / 20871, _withhold(count // 40)) for node, count in zip(NODES, flows, strict=True))
    return Figure(
        "node_types",
        "Node types",
        "Which node types do flows use?",
        "bar",
        (
            Column("node", "Node type", "category"),
            Column("flows", "Flows", "count"),
            Column("share", "Share of flows", "share"),
            Column("installations", "Installations", "count"),
        ),
        rows,
        "SELECT node_type, count(DISTINCT chatflow_id) FROM nodes GROUP BY 1 ORDER BY 2 DESC",
        suppressed=sum(row[3] is None for row in rows),
    )


def _pairs(numbers: random.Random) -> Figure:
    weights: dict[tuple[str, str], int] = {}
    for _ in range(190):
        source, target = numbers.sample(range(len(NODES)), 2)
        weights[NODES[source], NODES[target]] = int(9000 / ((source + 1) * (target + 1)) ** 0.8) + numbers.randrange(50)
    rows = tuple((*pair, _withhold(weight)) for pair, weight in sorted(weights.items(), key=lambda one: -one[1]))
    return Figure(
        "pairs",
        "Connected node types",
        "Which node types are connected with each other?",
        "graph",
        (
            Column("source", "From", "category"),
            Column("target", "To", "category"),
            Column("flows", "Flows", "count"),
        ),
        rows,
        "SELECT source_type, target_type, count(DISTINCT chatflow_id) AS flows\n"
        "FROM edges GROUP BY 1, 2 ORDER BY 3 DESC",
        suppressed=sum(row[2] is None for row in rows),
    )


def _sizes(numbers: random.Random) -> Figure:
    sizes = ("0", "1 to 2", "3 to 5", "6 to 10", "11 to 20", "21 to 50", "more than 50")
    rows = tuple((size, origin, 100 + numbers.randrange(5000)) for size in sizes for origin in ("EXTERNAL", "INTERNAL"))
    return Figure(
        "flow_sizes",
        "Sizes of flows",
        "How many nodes do flows have?",
        "bar",
        (
            Column("nodes", "Nodes", "category"),
            Column("type", "Origin", "category"),
            Column("flows", "Flows", "count"),
        ),
        rows,
        "SELECT size, type, count(*) FROM flow_sizes GROUP BY 1, 2",
    )


def _tools(numbers: random.Random) -> Figure:
    names = ("get_weather", "search_orders", "send_invoice", HOSTILE)
    return Figure(
        "tools",
        "Tools",
        "What are the tools called that people make?",
        "table",
        (Column("tool_name", "Name", "category"), Column("tools", "Tools", "count")),
        tuple((name, _withhold(60 - 15 * n)) for n, name in enumerate(names)),
        f"SELECT tool_name, count(*) FROM tool_created WHERE tool_name <> '{HOSTILE}' GROUP BY 1",
        note=f"Names that are not plainly names are withheld where they are made. {HOSTILE}",
        suppressed=1,
    )


def _lost(numbers: random.Random) -> Figure:
    reasons = ("buffer_full", "invalid", "too_large", "delivery_timeout")
    return Figure(
        "lost",
        "Lost and dropped events",
        "What did not arrive, and why?",
        "bar",
        (Column("reason", "Reason", "category"), Column("events", "Events", "count")),
        tuple((reason, 1 + numbers.randrange(400)) for reason in reasons),
        "SELECT reason, sum(events) FROM streams GROUP BY 1",
    )


def _empty() -> Figure:
    columns = (Column("reason", "Reason", "category"), Column("records", "Records", "count"))
    return Figure("dead_letters", "Dead letters", "What was refused?", "bar", columns, (), "SELECT 1 WHERE false")


if __name__ == "__main__":
    sys.stdout.write(render(example()))
