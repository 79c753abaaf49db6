"""The best loop that one writes by hand: confluent-kafka, fastavro, orjson, COPY and a merge, offsets after the commit.

``SERVERS TOPIC COUNT POSTGRES_URL GROUP SCHEMA_FOLDER``. No checks, no dead letters, no fence.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

import orjson  # type: ignore[import-not-found]  # of this peer's environment
import psycopg
from confluent_kafka import Consumer

from bench.peers.decoding import decoder
from bench.peers.measured import Measured

__all__: list[str] = []

_BATCH = 10_000
_COMMON = ("eventId", "occurredAt", "instanceId", "streamId", "sequence", "version")
_COLUMNS = {
    "prediction_sent": (*_COMMON, "chatflowId", "chatId", "type", "flowGraph"),
    "vector_upserted": (*_COMMON, "chatflowId", "type", "flowGraph", "stopNodeId"),
    "chatflow_created": (*_COMMON, "chatflowId", "flowGraph"),
    "tool_created": (*_COMMON, "toolId", "toolName"),
    "assistant_created": (*_COMMON, "assistantId"),
}
_TYPES = {"occurredAt": "timestamptz", "sequence": "bigint", "flowGraph": "jsonb"}


def _column(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _prepare(connection: Any) -> None:
    for event, names in _COLUMNS.items():
        columns = ", ".join(
            f"{_column(name)} {'uuid' if name.endswith('Id') and name != 'stopNodeId' else _TYPES.get(name, 'text')}"
            for name in names
        )
        connection.execute(f"CREATE TABLE {event} ({columns}, PRIMARY KEY (event_id))")
        connection.execute(f"CREATE INDEX ON {event} (occurred_at)")
        connection.execute(f"CREATE TEMP TABLE stage_{event} (LIKE {event}) ON COMMIT DELETE ROWS")
    connection.commit()


def _line(record: dict[str, Any], names: tuple[str, ...]) -> str:
    fields = []
    for name in names:
        value = record[name]
        if value is None:
            fields.append("\\N")
        elif name == "flowGraph":
            fields.append(orjson.dumps(value).decode().replace("\\", "\\\\"))
        elif name == "occurredAt":
            fields.append(value.isoformat())
        else:
            fields.append(str(value))
    return "\t".join(fields)


def main() -> None:
    servers, topic, count, url, group, folder = sys.argv[1:]
    decode = decoder(folder)
    measured = Measured()
    counts: Counter[str] = Counter()
    consumer = Consumer({
        "bootstrap.servers": servers,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })  # fmt: skip
    with psycopg.connect(url) as connection:
        _prepare(connection)
        measured.connecting()
        consumer.subscribe([topic])
        seen = 0
        while seen < int(count):
            messages = consumer.consume(_BATCH, 1.0)
            if not messages:
                continue
            measured.begin()
            lines: dict[str, list[str]] = {}
            for message in messages:
                event, record = decode(message.value())
                lines.setdefault(event, []).append(_line(record, _COLUMNS[event]))
            with connection.cursor() as cursor:
                for event, rows in lines.items():
                    with cursor.copy(f"COPY stage_{event} FROM STDIN") as copy:
                        copy.write("\n".join(rows) + "\n")
                    merge = f"INSERT INTO {event} SELECT * FROM stage_{event} ON CONFLICT (event_id) DO NOTHING"
                    counts[event] += cursor.execute(merge).rowcount
            connection.commit()
            consumer.commit(asynchronous=False)
            seen += len(messages)
    measured.end(counts)
    consumer.close()


if __name__ == "__main__":
    main()
