"""A token provider that a setting names: the entry point of an installed package, with each client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport import ClientName, KafkaSettings, open_reader
from flowise_telemetry_transport.errors import AuthenticationError
from flowise_telemetry_transport.tokens import Token, make_token, provider_of
from tests.transport.small_broker import SmallBroker, small_brokers


@pytest.fixture
def brokers() -> Iterator[Callable[..., SmallBroker]]:
    with small_brokers() as opened:
        yield opened


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the provider ``ours``."""
    (tmp_path / "our_tokens.py").write_text("def token():\n    return 'a-token', 4102444800.0\n")
    info = tmp_path / "our_tokens-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-tokens\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[flowise_telemetry.token_providers]\nours = our_tokens:token\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def settings_of(server: str, client: ClientName, name: str) -> KafkaSettings:
    return KafkaSettings.from_env({
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": server,
        "FLOWISE_TELEMETRY_CLIENT": client,
        "FLOWISE_TELEMETRY_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FLOWISE_TELEMETRY_KAFKA_TOKEN_PROVIDER": name,
    })  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.usefixtures("installed")
def test_its_token_is_what_the_broker_gets(client: ClientName, brokers: Callable[..., SmallBroker]) -> None:
    broker = brokers(users={}, mechanism="OAUTHBEARER")
    with pytest.raises(AuthenticationError, match="rejected the token"):
        open_reader(settings_of(broker.server, client, "ours"))
    assert set(broker.tokens) == {"a-token"}


@pytest.mark.usefixtures("installed")
def test_a_name_that_nobody_has_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"token provider 'theirs' .*; known: ours") as raised:
        provider_of("theirs")
    assert raised.value.argument == "token_provider"


@pytest.mark.parametrize("made", ["", None, 7, (1, 2), ("a", 1, 2)])
def test_what_is_no_token_is_told_without_showing_it(made: object) -> None:
    with pytest.raises(ConfigurationError, match="returned no token: return Token"):
        make_token(lambda: made)  # type: ignore[arg-type,return-value]


def test_a_token_in_short() -> None:
    assert make_token(lambda: ("a", 17.0)) == Token("a", 17.0)
    assert make_token(lambda: "a").value == "a"
    assert "a-secret" not in repr(Token("a-secret", 1.0))
