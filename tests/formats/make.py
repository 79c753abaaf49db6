"""Make one of each thing that the project keeps on disk: ``python -m tests.formats.make tests/formats/<version>``.

Run it once a release, on the release itself; ``test_formats`` opens what it made with the code of now.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

from flowise_telemetry import Telemetry, ToolCreated
from flowise_telemetry.consent.stored_choice import write_choice
from flowise_telemetry_consumer import BatchLimits, Consumer, ConsumerSettings, ReplayRequest, replay
from flowise_telemetry_consumer.retry import RunControl
from flowise_telemetry_consumer.sinks.sqlite import open_sqlite
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker, OutgoingRecord, Record, TopicPartition, TopicSpec
from tests.consumer.world import StopWhen
from tests.schemas.records import EVENTS, FLOW_ID

__all__ = ["DLQ", "EVENT_COUNT", "GROUP", "SPOOLED", "TOPIC", "make"]

TOPIC = "flowise.telemetry.events"
DLQ = "flowise.telemetry.events.dlq"
GROUP = "flowise-telemetry"
EVENT_COUNT = 3 * len(EVENTS)
SPOOLED = 5


def make(folder: Path) -> None:
    """Fill an empty folder."""
    folder.mkdir(parents=True)
    broker = InMemoryBroker(default_partitions=None)
    for topic, partitions in ((TOPIC, 2), (DLQ, 1)):
        broker.open_admin().create_topic(TopicSpec(topic, partitions))
    _produce(folder, broker)
    _consume(folder, broker)
    _leave_a_replay_unfinished(folder, broker)
    for topic in (TOPIC, DLQ):
        (folder / f"{topic}.jsonl").write_text("".join(f"{line}\n" for line in _dump(broker, topic)))


def _produce(folder: Path, broker: InMemoryBroker) -> None:
    environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config")}
    telemetry = Telemetry(
        app_version="3.0.1",
        environ=environ,
        writer_factory=broker.open_writer,
        spool_dir=folder / "spool",
        ledger_path=folder / "ledger.jsonl",
    )
    for event in (*EVENTS, *EVENTS, *EVENTS):
        telemetry.send_telemetry(event)
    assert telemetry.flush(10.0)
    broker.down = True
    for number in range(SPOOLED):
        telemetry.send_telemetry(ToolCreated(tool_id=FLOW_ID, tool_name=f"tool_{number}"))
    telemetry.close(timeout_seconds=2.0)
    assert telemetry.stats().dropped == {}
    broker.down = False
    write_choice(False, {"FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "opted-out")})


def _consume(folder: Path, broker: InMemoryBroker) -> None:
    writer = broker.open_writer()
    for value in (b"not one of ours", b"\xc3\x01" + bytes(8) + b"of no schema", None):
        writer.send(OutgoingRecord(TOPIC, b"bad", value, (("app", b"theirs"),)), lambda delivery, error: None)
    writer.flush(timeout_seconds=1.0)
    sink = open_sqlite(f"sqlite:///{folder / 'sink.sqlite'}")
    reader = broker.open_reader(group=GROUP)
    consumer = Consumer(
        reader, sink, broker.open_writer(), catalog(), ConsumerSettings(topic=TOPIC, batch=BatchLimits(age_seconds=0.0))
    )
    consumer.run(StopWhen(lambda: _count(broker, DLQ) == 3 and sum(_committed(broker)) == EVENT_COUNT + 3))
    reader.close()


def _leave_a_replay_unfinished(folder: Path, broker: InMemoryBroker) -> None:
    sink = open_sqlite(f"sqlite:///{folder / 'sink.sqlite'}").staging("rebuilt")
    writes = 0

    def written_once(*_: object) -> None:
        nonlocal writes
        writes += 1

    result = replay(
        broker.open_reader(),
        sink,
        catalog(),
        ReplayRequest(topic=TOPIC),
        batch=BatchLimits(rows=4),
        control=RunControl(stop=StopWhen(lambda: writes >= 2)),
        on_report=written_once,
    )
    assert result.incomplete
    sink.close()


def _committed(broker: InMemoryBroker) -> list[int]:
    return list(broker.group(GROUP).committed.values())


def _count(broker: InMemoryBroker, topic: str) -> int:
    return len(_records(broker, topic))


def _records(broker: InMemoryBroker, topic: str) -> list[Record]:
    partitions = range(broker.partition_counts()[topic])
    logs = [broker.log(TopicPartition(topic, number)) for number in partitions]
    return [log.records[offset] for log in logs for offset in sorted(log.records)]


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _dump(broker: InMemoryBroker, topic: str) -> list[str]:
    return [
        json.dumps(
            {
                "partition": record.partition,
                "offset": record.offset,
                "timestamp_ms": record.timestamp_ms,
                "key": _text(record.key),
                "value": _text(record.value),
                "headers": [[name, _text(value)] for name, value in record.headers],
            }
        )
        for record in _records(broker, topic)
    ]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
