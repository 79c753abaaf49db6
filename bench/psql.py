"""How fast PostgreSQL itself takes the rows: ``psql`` with COPY from files and the same merge in the same batches."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bench.topic import FilledTopic
from flowise_telemetry_consumer import BatchLimits
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.sinks import open_sink
from flowise_telemetry_consumer.sinks.postgres.tables import copy_statement, csv_of, merge_statement, stage_statement
from flowise_telemetry_consumer.sinks.rows import rows_frame
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, Record, open_reader

__all__ = ["PreparedRows", "batches"]

_TIMEOUT_SECONDS = 1_800


class PreparedRows:
    """The rows of a topic as files, and the script that loads them."""

    def __init__(self, filled: FilledTopic, folder: Path) -> None:
        self._folder = folder
        self._events = filled.events
        self._script = folder / "load.sql"
        decoder = Decoder(catalog())
        lines = ["\\set ON_ERROR_STOP on", "SET client_min_messages = warning;"]
        for number, records in enumerate(batches(filled, BatchLimits().rows)):
            lines.append("BEGIN;")
            for event, frame in sorted(decoder.decode(records).frames.items()):
                schema = catalog().latest(event)
                file = folder / f"{number}-{event}.csv"
                file.write_text(csv_of(rows_frame(schema, frame)))
                copy = copy_statement(schema).as_string().replace("COPY", "\\copy", 1)
                lines += [
                    f"{stage_statement('public', schema).as_string()};",
                    copy.replace("FROM STDIN", f"FROM '{file}'", 1),
                    f"{merge_statement('public', schema).as_string()};",
                ]
            lines.append("COMMIT;")
        self._script.write_text("\n".join(lines) + "\n")

    def load(self, url: str) -> float | None:
        """Events a second into the empty tables of a database; None where there is no psql."""
        psql = shutil.which("psql")
        if psql is None:
            return None
        sink = open_sink(url)
        sink.prepare(catalog())
        sink.close()
        begun = time.monotonic()
        command = [psql, "--quiet", "--no-psqlrc", f"--file={self._script}", url]
        subprocess.run(command, check=True, timeout=_TIMEOUT_SECONDS, stdout=subprocess.DEVNULL)
        return self._events / (time.monotonic() - begun)


def batches(filled: FilledTopic, rows: int) -> list[list[Record]]:
    """All records of a topic, so many at a time."""
    reader = open_reader(KafkaSettings.from_env({"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": filled.servers}))
    reader.assign(dict.fromkeys(reader.partitions_of(filled.topic), 0))
    records: list[Record] = []
    while len(records) < filled.events:
        records += reader.poll(timeout_seconds=5.0, max_records=5_000)
    reader.close()
    return [records[first : first + rows] for first in range(0, len(records), rows)]
