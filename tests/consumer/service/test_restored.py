"""Restored databases and topics that are made again, against the broker and the databases of the ladder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from flowise_telemetry_transport import TopicSpec, open_admin
from tests.consumer.service.restored import copy_of, drop
from tests.consumer.service.running import Service, wait_until
from tests.services.kafka import KafkaService

CLIENTS = ("kafka-python", "librdkafka")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "flowise_telemetry")


@pytest.fixture(params=CLIENTS)
def service(request: pytest.FixtureRequest, kafka: KafkaService, new_postgres_url: str) -> Service:
    return Service(kafka, new_postgres_url, topic=kafka.new_topic(), dlq=kafka.new_topic(), client=request.param)


def apart(service: Service, do: Callable[[str], Any]) -> Any:
    """Do something with a database that nobody is connected to."""
    service.sink.close()
    return do(service.sink_url)


def written(service: Service) -> None:
    with service.consumer() as counters:
        wait_until(service.all_written, "all written")
        wait_until(lambda: counters.commits > 0, "all committed")


def test_a_database_that_is_set_back_loses_nothing(service: Service) -> None:
    # The smallest case: 100 events, CREATE DATABASE … TEMPLATE, 100 more, the copy put back, 100 more.
    service.send(range(100))
    written(service)
    restore = apart(service, copy_of)
    service.send(range(100, 200))
    written(service)
    apart(service, lambda _: restore())
    service.send(range(200, 300))
    written(service)
    assert sorted(service.event_ids()) == sorted(service.accepted)
    service.sink.close()


@pytest.mark.slow  # as in test_held_offsets, on the clients
def test_a_database_that_is_set_back_under_a_consumer_loses_nothing(service: Service) -> None:
    service.send(range(100))
    written(service)
    restore = apart(service, copy_of)
    with service.consumer() as counters:
        service.send(range(100, 200))
        wait_until(service.all_written, "what came after the copy")
        wait_until(lambda: counters.commits > 0, "committed")
        apart(service, lambda _: restore())
        service.send(range(200, 300))
        wait_until(service.all_written, "all written")
    assert sorted(service.event_ids()) == sorted(service.accepted)
    assert counters.reread == 100
    service.sink.close()


@pytest.mark.slow  # as in test_held_offsets, on the clients
def test_a_database_that_is_made_again_gets_all_that_the_topic_has(service: Service) -> None:
    service.send(range(100))
    written(service)
    apart(service, drop)
    written(service)
    assert sorted(service.event_ids()) == sorted(service.accepted)
    service.sink.close()


@pytest.mark.real_broker
@pytest.mark.parametrize(
    "running",
    [pytest.param(False, id="while nobody reads", marks=pytest.mark.slow), pytest.param(True, id="under a consumer")],
)
def test_a_topic_that_is_made_again_is_read_from_its_beginning(
    service: Service, *, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowise_telemetry_consumer.monitoring.partitions.BROKERS_SECONDS", 1.0)
    service.send(range(100))
    if running:
        with service.consumer():
            wait_until(service.all_written, "the old topic's events")
            make_again(service)
            wait_until(service.all_written, "all of the new topic's")
    else:
        written(service)
        make_again(service)
        written(service)
    assert sorted(service.event_ids()) == sorted(service.accepted)
    service.sink.close()


def make_again(service: Service) -> None:
    """Delete the topic and create it again, grown past what was read of the old one."""
    from confluent_kafka.admin import AdminClient

    servers = ",".join(service.kafka.bootstrap_servers)
    client = AdminClient({"bootstrap.servers": servers})  # closed once nothing refers to it
    client.delete_topics([service.topic])[service.topic].result(timeout=30)
    admin = open_admin(service.kafka.settings())
    wait_until(lambda: service.topic not in admin.topics(), "the topic gone")
    admin.create_topic(TopicSpec(service.topic, 4))
    admin.close()
    service.send(range(1_000, 1_400))
