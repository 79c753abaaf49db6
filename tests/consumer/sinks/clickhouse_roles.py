"""The roles of ClickHouse in docs/sinks.md: what each is granted and what it does with that.

``python -m tests.consumer.sinks.clickhouse_roles ROLE FOLDER CONFIG`` does it in the engine of a process of its own,
whose one user has what a ``users.xml`` beside the configuration grants. It prints the error of the sink, if any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks import Batch
from flowise_telemetry_consumer.sinks.claims import PROGRESS_TABLE
from flowise_telemetry_consumer.sinks.clickhouse import ClickhouseSink
from flowise_telemetry_consumer.sinks.clickhouse.address import Address, address_of
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport.types import TopicPartition
from tests.consumer.sinks.batches import batch

__all__ = ["ACTS", "LACKING", "ROLES", "configure", "prepare_older", "prepare_whole", "role_address"]

DATABASE = "telemetry"
TP0 = TopicPartition("events", 0)
_GUIDE = Path(__file__).parents[3] / "docs/sinks.md"
ROLES: dict[str, tuple[str, ...]] = {
    role: tuple(rights.split(", "))
    for rights, role in re.findall(
        r"^GRANT ([A-Z, ]+) ON telemetry\.\* TO telemetry_(\w+);", _GUIDE.read_text(), re.MULTILINE
    )
}
"""The rights of each role of the guide."""

LACKING = [(role, right) for role, rights in ROLES.items() for right in rights]

_USERS = """<clickhouse>
<profiles><default/></profiles><quotas><default/></quotas>
<users><default><password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
<grants>{grants}</grants></default></users>
</clickhouse>
"""


def _own(sink: ClickhouseSink) -> None:
    """Add the column of a new version, make views and staging tables, fill them, and promote them twice."""
    sink.prepare(catalog())
    sink.lock("replay")
    staging = sink.staging("next")
    with closing(staging):
        staging.prepare(catalog())
        _write(staging)
        for _ in range(2):
            sink.promote("next")
    with closing(Server(sink._address)) as server:
        server.rows("SELECT count() FROM all_events WHERE tool_name = 'x'")  # the view of before had no such column


def _write(sink: ClickhouseSink) -> None:
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    for number in (0, 0, 1):
        sink.write(replace(batch(number), offsets={TP0: number + 1}, source="group"))
    _read(sink)
    # Rows of other days stay, so that these are deleted by row: as those of annulled batches are.
    list(sink.prune(1_700_000_000_124))


def _read(sink: ClickhouseSink) -> None:
    sink.counts()
    sink.progress()
    list(sink.read("tool_created"))


ACTS: dict[str, Callable[[ClickhouseSink], None]] = {"owner": _own, "writer": _write, "reader": _read}


def prepare_older(address: Address) -> None:
    """Make what an owner finds something to add to: a table, a column and new columns of views are missing.

    And to put in order: it came out of a backup, whose log has one number for all.
    """
    schemas = [schema for schema in catalog() if schema.event != "tool_created"]
    with closing(ClickhouseSink(address)) as sink, closing(Server(address)) as server:
        sink.prepare(schemas)
        sink.write(Batch({schema.event: batch(3).frames[schema.event] for schema in schemas}))
        server.execute("ALTER TABLE assistant_created DROP COLUMN assistant_type")
        server.execute(f"OPTIMIZE TABLE {PROGRESS_TABLE} FINAL")
        server.execute(f"BACKUP DATABASE {DATABASE} TO Memory('copy')")
        server.execute(f"DROP DATABASE {DATABASE} SYNC")
        server.execute(f"RESTORE DATABASE {DATABASE} FROM Memory('copy')")


def prepare_whole(address: Address) -> None:
    """Make what writers and readers find."""
    with closing(ClickhouseSink(address)) as sink:
        sink.prepare(catalog())
        sink.write(batch(2))


PREPARES = {"older": prepare_older, "whole": prepare_whole}


def configure(folder: Path, grants: Sequence[str]) -> Path:
    """Return the configuration of an engine whose user has these grants."""
    folder.mkdir()
    queries = "".join(f"<query>{grant}</query>" for grant in grants)
    (folder / "users.xml").write_text(_USERS.format(grants=queries))
    config = folder / "config.xml"
    config.write_text(f"<clickhouse><users_config>{folder / 'users.xml'}</users_config></clickhouse>")
    return config


def role_address(folder: str, config: str) -> Address:
    """Return the address of the database of an engine that is configured so."""
    address = address_of(f"clickhouse:///{folder}?database={DATABASE}")
    return replace(address, arguments={**address.arguments, "chdb_options": {"config-file": config}})


def main() -> None:
    role, folder, config = sys.argv[1:]
    address = role_address(folder, config)
    if role in PREPARES:
        PREPARES[role](address)
        return
    with closing(ClickhouseSink(address)) as sink:
        try:
            ACTS[role](sink)
        except SinkError as error:
            sys.stdout.write(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
