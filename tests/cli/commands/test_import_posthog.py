"""``import --format posthog``: PostHog's exported events, mapped as the gateway maps what its clients send."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.port import Batch
from flowise_telemetry_schemas import catalog
from tests.cli.in_process import run_command
from tests.cli.program import Finished
from tests.gateway.conftest import ID, KEY, MakeGateway, broker, make_gateway, tool
from tests.producer.samples import stored_records

__all__ = ["broker", "make_gateway"]

SECRET = "s" * 32
WHEN = "2024-03-04T05:06:07.890123+00:00"
"""As PostHog exports a time; the gateway would have taken that of the arrival for one so old."""


def exported(number: int = 0, **changed: Any) -> dict[str, Any]:
    """A line of a batch export to S3, in JSON lines."""
    message = tool(number)
    return {
        "uuid": message["uuid"],
        "event": message["event"],
        "properties": {**message["properties"], "$geoip_disable": True, "productId": "sk-live-product"},
        "distinct_id": message["distinct_id"],
        "person_id": "0190a1b2-ffff-7000-8000-000000000000",
        "person_properties": {"email": "jane@example.com"},
        "elements_chain": "",
        "timestamp": WHEN,
        "created_at": WHEN,
        "_inserted_at": WHEN,
        **changed,
    }


def lines(*messages: Any) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def imported(
    *arguments: str, folder: Path, stdin: bytes = b"", invocation: Invocation | None = None
) -> tuple[Finished, dict[str, Any]]:
    done = run_command(
        "import",
        *(arguments or ("-",)),
        *("--format", "posthog", "--sink", "sqlite:///a.db", "--json"),
        folder=folder,
        stdin=stdin,
        env={"FLOWISE_TELEMETRY_INSTANCE_SECRET": SECRET},
        invocation=invocation,
    )
    return done, json.loads(done.stdout) if done.stdout else {}


def rows(folder: Path, event: str = "tool_created") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "a.db")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {event} ORDER BY event_id")]


def test_what_schemas_name_is_kept_and_the_rest_counted(tmp_path: Path) -> None:
    odd = exported(2)
    odd["properties"] |= {"sk-live-property": "sk-live-value", "toolName": "Ask Jane of accounting"}
    graph = {"nodes": ["chatOpenAI_0", "theirOwnNode_0"], "edges": []}
    upsert = {"chatlowId": ID, "type": "internal", "flowGraph": graph, "stopNodeId": "", "version": "3.0.1"}
    content = lines(
        exported(1),
        odd,
        exported(3, event="$pageview"),
        exported(4, event="user_created"),
        exported(5, event="vector_upserted", properties=json.dumps(upsert)),  # as in columns of text
    )
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress(content))
    done, document = imported("events.jsonl.gz", folder=tmp_path)
    assert done.status == 0
    assert document["left_out"] == {"unknown_events": 1, "refused_events": 1, "unknown_properties": 1}
    assert {name: its["written"] for name, its in document["events"].items()} == {
        "tool_created": 2,
        "vector_upserted": 1,
    }
    found = rows(tmp_path)
    assert [row["tool_name"] for row in found] == ["tool_1", None], "withheld as from every producer"
    assert {row["occurred_at"] for row in found} == {"2024-03-04T05:06:07.890Z"}
    assert [row["event_id"] for row in found] == [exported(number)["uuid"] for number in (1, 2)]
    (upserted,) = rows(tmp_path, "vector_upserted")
    assert json.loads(upserted["flow_graph"])["nodes"] == ["chatOpenAI_0", "other_0"]
    stored = (tmp_path / "a.db").read_bytes()
    assert not [text for text in (b"sk-live", b"org-1", b"example.com", b"Jane", b"theirOwn") if text in stored]
    again, document = imported("events.jsonl.gz", folder=tmp_path)
    assert (again.status, document["events"]["tool_created"]["already_there"]) == (0, 2)


def test_what_came_live_is_not_there_twice_and_nothing_counts_as_lost(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    world = make_gateway()
    live = [tool(number) for number in range(3)]
    assert world.post("/batch/", {"api_key": KEY, "batch": live}).status == 200
    assert world.telemetry.flush(30.0)
    records = stored_records(world.broker)
    assert len(records) == 3
    _write(tmp_path, records)
    export = lines(*(exported(number) for number in range(5)))
    done, document = imported(folder=tmp_path, stdin=export)
    counts = document["events"]["tool_created"]
    assert (done.status, counts["written"], counts["already_there"]) == (0, 2, 3)
    found = rows(tmp_path)
    assert len({row["event_id"] for row in found}) == len(found) == 5
    assert [row["stream_id"] == row["event_id"] for row in found] == [False] * 3 + [True] * 2
    loss = run_command("loss", "--sink", "sqlite:///a.db", "--json", folder=tmp_path)
    assert json.loads(loss.stdout)["unexplained"] == 0
    _, document = imported("--restart", "-", folder=tmp_path, stdin=export)
    assert document["events"]["tool_created"]["already_there"] == 5


def _write(folder: Path, records: Any) -> None:
    """What a consumer writes of records."""
    from flowise_telemetry_consumer.decoding.decoder import Decoder

    sink = open_sink(f"sqlite:///{folder}/a.db")
    sink.prepare(list(catalog()))
    decoded = Decoder(catalog()).decode(records)
    sink.write(Batch(frames=decoded.frames, offsets={}, source=""))
    sink.close()


def test_lines_that_are_no_event_are_set_aside_without_a_value(tmp_path: Path) -> None:
    bad = [
        exported(1, timestamp=None),
        exported(2, timestamp="1999-01-01T00:00:00Z"),
        exported(3, properties={"toolId": "sk-live-id", "version": "3.0.1"}),
        exported(4, properties={"toolId": ID, "version": "sk-live"}),
        exported(5, distinct_id=None),
        {"batch": [exported(6)]},
    ]
    (tmp_path / "old.jsonl").write_bytes(lines(exported(0), *bad))
    done, document = imported("old.jsonl", folder=tmp_path)
    assert (done.status, document["events"]["tool_created"]["written"]) == (3, 1)
    text = (tmp_path / "old.jsonl.rejects.jsonl").read_text()
    rejects = [json.loads(line) for line in text.splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 5, 6, 7]
    assert [reject["rule"] for reject in rejects] == ["posthog"] * 5 + ["shape"]
    assert "sk-live" not in text + done.stderr
    refused, _ = imported(folder=tmp_path, stdin=b'{"mine": 1}\n')
    assert refused.status == 1
    assert "is no file of events" in refused.stderr


def test_a_dry_run_changes_nothing_and_keeps_no_secret(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(exported(1), exported(2, event="other")))
    told = ("import", "a.jsonl", "--format", "posthog", "--sink", "sqlite:///a.db", "--dry-run")
    done = run_command(*told, folder=tmp_path)
    assert done.status == 0
    assert "note: ids are hashed with a new secret" in done.stderr
    assert "unknown events" in done.stdout
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.jsonl"]


def test_a_sender_is_one_installation_within_a_month(tmp_path: Path) -> None:
    days = ("2024-01-04", "2024-01-31", "2024-02-01")
    content = [exported(at, timestamp=f"{day}T05:06:07Z", distinct_id="org") for at, day in enumerate(days)]
    imported(folder=tmp_path, stdin=lines(*content))
    first, second, third = [row["instance_id"] for row in rows(tmp_path)]
    assert first == second != third
