"""What the tests of this folder do not try, each with its reason; an entry that no page needs any more is refused.

A block is named by its page and the beginning of its first line.
"""

from __future__ import annotations

__all__ = ["ELSEWHERE", "NOT_RUN", "PLACEHOLDERS", "PROGRAMS"]

ELSEWHERE: dict[tuple[str, str], str] = {
    ("README.md", "from flowise_telemetry import"): "tests/producer/test_newcomer.py",
    ("docs/dead-letters.md", "$ flowise-telemetry dlq"): "tests/cli/commands/test_dlq.py",
    ("docs/examples/node/README.md", "const { sendTelemetry"): "tests/gateway/test_node_example.py",
    ("docs/operations.md", "-- The first id of a moment."): "tests/consumer/sinks/test_postgres_partitions.py",
    ("docs/operations.md", "ALTER TABLE tool_created DETACH"): "tests/consumer/sinks/test_postgres_partitions.py",
    ("docs/producer/other-languages.md", "import { gzipSync }"): "tests/transport/gateway/test_other_languages.py",
    ("docs/questions.md", "SELECT"): "tests/consumer/sinks/test_questions.py",
    ("docs/questions.md", "WITH active AS"): "tests/consumer/sinks/test_questions.py",
    (
        "docs/questions.md",
        "from flowise_telemetry_consumer.sinks.duckdb.lake",
    ): "tests/consumer/sinks/test_questions.py",
    ("docs/sinks.md", "from flowise_telemetry_consumer.sinks.duckdb.lake"): "tests/consumer/sinks/test_questions.py",
    ("docs/sinks.md", "SELECT (occurred_at AT TIME ZONE"): "tests/consumer/sinks/test_comments.py",
    ("docs/sinks.md", "-- The role that creates"): "tests/consumer/sinks/test_postgres.py",
    ("docs/sinks.md", "-- The everyday consumers"): "tests/consumer/sinks/test_postgres.py",
    ("docs/sinks.md", "ALTER DEFAULT PRIVILEGES"): "tests/consumer/sinks/test_postgres_rights.py",
    ("docs/sinks.md", "SELECT date_trunc('day', occurred_at)"): "tests/consumer/sinks/test_comments.py",
    ("docs/sinks.md", "SELECT toDate(occurred_at)"): "tests/consumer/sinks/test_comments.py",
    ("docs/sinks.md", "GRANT SELECT, INSERT, ALTER DELETE"): "tests/consumer/sinks/test_clickhouse_rights.py",
    ("docs/sinks.md", 'polars.scan_delta("events'): "tests/consumer/sinks/test_delta_readers.py",
    ("docs/sinks.md", "SELECT date, type, count(*) FROM delta_scan"): "tests/consumer/sinks/test_delta_readers.py",
    ("docs/sinks.md", 'polars.scan_parquet("events'): "tests/consumer/sinks/test_delta_readers.py",
    ("docs/sinks.md", "SELECT date, type, count(*) FROM read_parquet"): "tests/consumer/sinks/test_delta_readers.py",
}
"""Blocks that a test somewhere else runs, or tries by what they do: that test."""

NOT_RUN: dict[tuple[str, str], str] = {
    ("docs/guides/embed.md", "from django.db.models"): "Django is no dependency; its first half is run",
    ("docs/own-events.md", "from importlib.resources import files"): "the package my_app is the reader's;"
    " tests/producer/test_own_events.py does the same with one of its own",
    ("docs/security.md", "from aws_msk_iam_sasl_signer"): "needs AWS; tests/transport/test_tokens_… try providers",
    ("docs/sinks.md", "ARROW = SinkKind("): "a part of docs/examples/sink_plugin, which tests run",
    ("docs/sinks.md", "SELECT stream_id, max(numbered)"): "the account's columns are an inside of the sinks",
}
"""Blocks that are compiled or read, and not run: why."""

PROGRAMS: dict[str, str] = {
    "acl": "a shell function of the same block",
    "clickhouse": "of the reader's machine; tests/consumer/sinks/test_questions.py asks the engine",
    "cp": "of the shell",
    "curl": "asks what deploy/smoke-test.sh and tests/consumer/monitoring ask",
    "docker": "deploy/smoke-test.sh runs compose",
    "duckdb": "of the reader's machine; tests/consumer/sinks/test_questions.py asks the engine",
    "echo": "of the shell",
    "eval": "of the shell; tests/cli/test_completion.py has each shell read what it evaluates",
    "jq": "of the reader's machine",
    "kafka-acls.sh": "tests/security/test_rights.py grants the same rights",
    "kubectl": "needs a cluster; tests/deploy holds what it is given to Kubernetes' schemas",
    "mkdir": "of the shell",
    "printf": "of the shell",
    "psql": "of the reader's machine; tests/consumer/sinks/test_questions.py asks the engine",
    "pytest": "the contract suite, on the reader's own sink",
    "python": "runs a file of the page, whose block is tried by itself",
    "python3": "makes a virtual environment",
    "spark-sql": "of the reader's machine",
    "systemctl": "needs systemd as the first process; tests/deploy/test_systemd_units.py reads the units",
    "sqlite3": "queries of the account of a sink; tests/consumer/sinks read the same tables",
    ".": "of the shell: activates a virtual environment",
}
"""Programs of others in command lines: why they are not tried."""

PLACEHOLDERS = frozenset({"COMMAND", "COMMAND --help"})
"""What stands for a command in a sentence about all of them."""
