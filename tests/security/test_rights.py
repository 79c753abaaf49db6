"""The least rights of docs/security.md: enough, and each of them needed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport import OutgoingRecord, open_writer
from flowise_telemetry_transport.clients import CLIENTS
from flowise_telemetry_transport.types import Delivery
from tests.security.roles import ROLES, Place
from tests.services.kafka_secure import SecureKafka

_SECONDS = 60.0


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def place_for(name: str, client: str, kafka: SecureKafka, folder: Path) -> Place:
    place = Place(kafka, folder, client, kafka.unique("events"), kafka.unique("group"))
    if ROLES[name].fills:
        place.fill()
    if ROLES[name].letters:
        place.file_letters()
    return place


@pytest.mark.parametrize("name", ROLES)
def test_they_are_enough(name: str, client: str, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    place = place_for(name, client, secure_kafka, tmp_path)
    with secure_kafka.rights("app", *ROLES[name].of(place)):
        ROLES[name].act(place)


@pytest.mark.parametrize(
    ("name", "missing"), [(name, right) for name, role in ROLES.items() for right in role.rights], ids=str
)
def test_each_is_needed_and_named(
    name: str, missing: tuple[str, str, str], client: str, secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    place = place_for(name, client, secure_kafka, tmp_path)
    role = ROLES[name]
    left = [right for right, plain in zip(role.of(place), role.rights, strict=True) if plain != missing]
    began = time.monotonic()
    with secure_kafka.rights("app", *left), pytest.raises(TelemetryError) as raised:
        role.act(place)
    assert time.monotonic() - began < _SECONDS
    assert "the login works, but lacks a right: grant " in str(raised.value)
    assert dict(zip(role.rights, role.of(place), strict=True))[missing][1] in str(raised.value)


def test_a_writer_that_lacked_its_right_writes_once_that_is_granted(
    client: str, secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    """librdkafka gives up for ever where it is refused a producer's id: another client takes its place."""
    place = place_for("app", client, secure_kafka, tmp_path)
    writer = open_writer(place.settings(), delivery_timeout_seconds=8.0, block_seconds=5.0)
    written: list[bytes] = []
    refused: list[TelemetryError] = []

    def send(value: bytes) -> None:
        def settle(_: Delivery | None, error: TelemetryError | None) -> None:
            if error is None:
                written.append(value)
            else:
                refused.append(error)

        try:
            writer.send(OutgoingRecord(place.topic, value, value), settle)
        except TelemetryError as error:
            refused.append(error)
        writer.flush(timeout_seconds=10)

    def try_until(value: bytes, ended: list[Any]) -> None:
        end = time.monotonic() + _SECONDS
        while not ended and time.monotonic() < end:
            send(value)

    describe, write = (("topic", place.topic, operation) for operation in ("describe", "write"))
    try:
        with secure_kafka.rights("app", describe):
            try_until(b"before", refused)
            send(b"before")  # by then the client has given up
        assert not written
        with secure_kafka.rights("app", describe, write):
            try_until(b"after", written)
    finally:
        writer.close(timeout_seconds=1)
    assert written[0] == b"after"
    assert any(f"grant Write on topic {place.topic}" in str(error) for error in refused)
