"""Checks before a replay: whose rows staging tables hold, and a topic that is not copied onto itself."""

from __future__ import annotations

import pytest

from flowise_telemetry_consumer import (
    BatchLimits,
    ReplayRequest,
    Shard,
)
from flowise_telemetry_consumer.replay import (
    advance_run,
    open_run,
    require_another_topic,
    require_own_rows,
)
from flowise_telemetry_schemas import ConfigurationError, catalog
from flowise_telemetry_transport import InMemoryBroker
from flowise_telemetry_transport.types import TopicSpec
from tests.consumer.replay.copies import ALL, Copy, KilledError, let_die
from tests.consumer.world import TOPIC, World


def test_a_name_beside_is_for_the_rows_of_one_replay(world: World, copy: Copy) -> None:
    def fill(request: ReplayRequest, shard: Shard | None = None, *, die: bool = False) -> None:
        live = copy.sink()
        sink = live.staging("rebuilt")
        try:
            sink.prepare(list(catalog()))
            run = open_run(world.reader(None), sink, request, clock=world.clock, shard=shard)
            require_own_rows(sink, run.id, resumes=run.updated_at_ms > 0)
            if die:
                let_die(sink, 1)
            advance_run(world.reader(None), sink, catalog(), run, batch=BatchLimits(rows=20), control=world.control)
        finally:
            sink.close()
            live.close()

    other = ReplayRequest(topic=TOPIC, partitions=(0,))
    with pytest.raises(KilledError):
        fill(ALL, die=True)
    fill(ALL)
    fill(ALL, Shard(1, 2))
    world.send_good(10)
    fill(ALL)  # it catches up before a swap
    with pytest.raises(
        ConfigurationError, match=r"holds 110 rows that are not those of replay .* alone: drop its tables"
    ) as caught:
        fill(other)
    assert caught.value.argument == "staging"
    copy.run(other)
    live = copy.sink()
    live.promote("rebuilt")
    live.close()
    with pytest.raises(ConfigurationError, match="holds 21 rows that are not those of replay"):
        fill(ALL)


def test_a_topic_is_another_one_by_its_id_or_on_another_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = InMemoryBroker()
    other.open_admin().create_topic(TopicSpec(TOPIC))
    here = world.reader(None), world.broker.open_admin()
    there = other.open_reader(), other.open_admin()
    require_another_topic(TOPIC, here, there)
    with pytest.raises(
        ConfigurationError, match="onto itself: the target's servers belong to the cluster that is read: name"
    ) as caught:
        require_another_topic(TOPIC, here, here)
    assert caught.value.argument == "sink"
    # Two clusters may have been made from the same files: the topic's own id tells.
    monkeypatch.setattr(other.cluster, "id", world.broker.cluster.id)
    require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "topic_id", lambda topic: None)
    with pytest.raises(ConfigurationError, match=r"belong to the cluster that is read \(id .*\): name another topic"):
        require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "id", None)
    with pytest.raises(ConfigurationError, match=f"a cluster reported no id: give the copy another name than {TOPIC}"):
        require_another_topic(TOPIC, here, there)
    monkeypatch.setattr(other.cluster, "id", "another")
    require_another_topic(TOPIC, here, there)
