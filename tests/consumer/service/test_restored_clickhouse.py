"""ClickHouse out of a backup, which brings the log back without its order: nothing is doubled, hidden or revived."""

from __future__ import annotations

from contextlib import closing

import pytest

from flowise_telemetry_consumer import Consumer, ConsumerSettings
from flowise_telemetry_consumer.errors import SinkError
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from flowise_telemetry_consumer.sinks.clickhouse.log import Entry, append
from flowise_telemetry_consumer.sinks.clickhouse.server import Server
from flowise_telemetry_schemas import catalog
from tests.consumer.service.restored import copy_of
from tests.consumer.sinks.clickhouse_engine import Engine
from tests.consumer.sinks.roles import open_claimed, open_readable
from tests.consumer.world import GROUP, TOPIC, SameThread, StopWhen, World

pytestmark = pytest.mark.slow

LOG = "flowise_telemetry_progress"


@pytest.fixture
def url(engine: Engine, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level("WARNING", "flowise_telemetry")
    return engine.database()


def consume(world: World, url: str) -> None:
    reader = world.reader()
    reader.before_commit = lambda offsets: None
    start = world.clock.now
    consumer = Consumer(
        reader,
        open_claimed(url),
        world.broker.open_writer(),
        catalog(),
        ConsumerSettings(topic=TOPIC, group=GROUP),
        clock=world.clock,
        sink_thread=SameThread(),
    )
    consumer.run(StopWhen(lambda: world.all_committed() and world.clock.now > start + 5))
    reader.close()


def shown(url: str) -> list[str]:
    """The ids of all events, as often as they are there."""
    with closing(open_readable(url)) as sink:
        return sorted(its for event in catalog().events for frame in sink.read(event) for its in frame["event_id"])


def test_each_event_is_shown_once_however_far_the_new_log_gets(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The numbers that its rows had are given to other batches."""
    world = World(partitions=1)
    for _ in range(4):
        world.send_good(30)
        consume(world, url)
    restore = copy_of(url)
    restore()
    with pytest.raises(SinkError, match="restored from a backup and is not in order yet: a consumer mends it"):
        shown(url)
    for _ in range(8):
        world.send_good(10)
        consume(world, url)
        assert shown(url) == sorted(world.accepted())
    assert len([line for line in caplog.messages if "was restored from a backup" in line]) == 1


def test_what_was_annulled_stays_so(url: str) -> None:
    world = World(partitions=1)
    world.send_good(30)
    consume(world, url)
    with closing(Server(address_of(url))) as server:
        append(server, [Entry(kind="begin", batch=17)], token="begin:17")
        ((number,),) = server.rows(f"SELECT max(_block_number) FROM {LOG}")
        its = f"SELECT * REPLACE ({number} AS telemetry_batch) FROM tool_created LIMIT 1"
        server.execute(f"INSERT INTO tool_created {its}")
        append(server, [Entry(kind="annul", batch=number)], token="annul:17")
        assert server.rows("SELECT max(n) FROM (SELECT count() AS n FROM tool_created GROUP BY event_id)") == [(2,)]
    restore = copy_of(url)
    restore()
    consume(world, url)
    assert shown(url) == sorted(world.accepted())
