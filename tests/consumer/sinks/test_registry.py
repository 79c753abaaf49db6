"""Which URL leads to which sink, and what is said of the others."""

from __future__ import annotations

import sys

import pytest

from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError


@pytest.mark.parametrize("url", ["", "events.db", "mysql://me:geheim@db/usage", "SQLITE:///x", "duckdb+s3:///x"])
def test_another_url_is_answered_with_the_forms_there_are(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite:///.*postgresql://.*jsonl:-") as caught:
        open_sink(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://x.db", "sqlite:///x/", "jsonl:x", "jsonl:///"]
)
def test_a_file_needs_three_slashes_and_a_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r":///relative/file or .*:////absolute/file"):
        open_sink(url)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("postgresql://db/usage", "psycopg", "postgres"),
        ("duckdb:///usage.duckdb", "duckdb", "duckdb"),
        ("delta+s3://bucket/usage", "deltalake", "delta"),
        ("clickhouse://me@host/usage", "clickhouse_connect", "clickhouse"),
        ("delta:///usage", "deltalake", "delta"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingExtraError, match=rf"{library} is not installed: pip install 'flowise-telemetry\[{extra}\]'"
    ):
        open_sink(url)
