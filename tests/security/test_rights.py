"""The least rights of docs/security.md: enough, and each of them needed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flowise_telemetry_schemas import TelemetryError
from flowise_telemetry_transport.clients import CLIENTS
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
