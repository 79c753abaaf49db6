"""Answers of a registry, and each of its faults in one clear line."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError, SchemaError
from flowise_telemetry_transport.schema_registry import answers
from flowise_telemetry_transport.schema_registry.errors import (
    RegistryConflictError,
    RegistryDeniedError,
    RegistryError,
    RegistryUnavailableError,
)
from flowise_telemetry_transport.schema_registry.registry import COMPATIBILITY, Registry
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings
from tests.services.certificates import Authority
from tests.services.ports import free_ports
from tests.services.small_registry import GARBAGE, SILENCE, SmallRegistry, small_registry

PATIENT_SECONDS = 60.0
SCHEMA = '{"type": "record", "name": "A", "fields": []}'


@pytest.fixture
def served() -> Iterator[SmallRegistry]:
    with small_registry() as registry:
        yield registry


def client_of(served: SmallRegistry, **settings: str) -> Registry:
    """A client that waits long for an answer that is to come, as the machine may be busy."""
    seconds = 0.3 if served.fault == SILENCE else PATIENT_SECONDS
    return Registry(RegistrySettings(url=served.url, timeout_seconds=seconds, **settings))


def test_ids_guids_subjects_and_settings(served: SmallRegistry) -> None:
    registry = client_of(served)
    number = registry.register("topic-a.B", SCHEMA)
    assert registry.register("topic-a.B", SCHEMA) == registry.id_of("topic-a.B", SCHEMA) == number
    assert registry.schema_text(number) == registry.schema_text(served.guid_of(number)) == SCHEMA
    assert registry.compatibility("topic-a.B") is None
    registry.set_compatibility("topic-a.B")
    assert registry.compatibility("topic-a.B") == COMPATIBILITY
    assert registry.is_compatible("topic-a.B", SCHEMA)
    registry.close()


def test_a_schema_is_asked_for_once(served: SmallRegistry) -> None:
    registry, number = client_of(served), served.add(SCHEMA)
    for _ in range(3):
        registry.schema_text(number)
    assert served.asked == [f"GET /schemas/ids/{number}"]
    registry.close()


FAULTS: dict[str, tuple[int, type[RegistryError], str]] = {
    "401": (401, RegistryDeniedError, "refuses the login (401): check SCHEMA_REGISTRY_USER_INFO"),
    "403": (403, RegistryDeniedError, "does not permit to ask for schema 7 (403): give the user the right"),
    "404": (404, RegistryUnavailableError, "has no such path (404): check the path in SCHEMA_REGISTRY_URL"),
    "405": (405, RegistryUnavailableError, "has no such path (405): check the path in SCHEMA_REGISTRY_URL"),
    "409": (409, RegistryUnavailableError, "refuses what is asked for schema 7 (409): "),
    "422": (422, RegistryUnavailableError, "refuses what is asked for schema 7 (422): "),
    "302": (302, RegistryUnavailableError, "answers with status 302 for schema 7; look at its log"),
    "429": (429, RegistryUnavailableError, "answers with status 429 for schema 7; look at its log"),
    "500": (500, RegistryUnavailableError, "answers with status 500 for schema 7; look at its log"),
    "garbage": (GARBAGE, RegistryUnavailableError, "gave an answer that cannot be read (JSONDecodeError) for schema 7"),
    "silence": (SILENCE, RegistryUnavailableError, "did not answer within 0.3 s; is it up?"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_line(served: SmallRegistry, fault: str) -> None:
    served.fault, kind, text = FAULTS[fault]
    registry = client_of(served)
    with pytest.raises(kind) as caught:
        registry.schema_text(7)
    assert type(caught.value).__name__.lstrip("_") in (kind.__name__, "WrongPathError")
    assert caught.value.message.startswith(f"the schema registry at {served.url} {text}")
    assert "\n" not in caught.value.message
    assert caught.value.retryable, "anyone may write an id: no answer to it may end a consumer"
    registry.close()


@pytest.mark.parametrize("status", [409, 422])
def test_a_refusal_to_take_a_schema_is_final(served: SmallRegistry, status: int) -> None:
    served.fault = status
    registry = client_of(served)
    with pytest.raises(RegistryConflictError, match=f"refuses what is asked for subject topic-a.B .{status}.: ") as it:
        registry.register("topic-a.B", SCHEMA)
    assert not it.value.retryable
    registry.close()


@pytest.mark.parametrize("number", [2**31, 2**32 - 1])
def test_an_id_beyond_the_ids_of_registries_is_not_asked_for(served: SmallRegistry, number: int) -> None:
    served.fault = 404  # as Confluent's answers then: the path takes an int
    with pytest.raises(SchemaError, match=f"does not have schema {number}"):
        client_of(served).schema_text(number)
    assert served.asked == []


def test_a_client_without_the_look_up_by_guid_ends_nobody(
    served: SmallRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    monkeypatch.delattr(SchemaRegistryClient, "get_schema_by_guid")
    registry = client_of(served)
    with pytest.raises(SchemaError, match=r"install 2\.11 or later"):
        registry.schema_text(uuid.UUID(int=7))
    registry.close()


def test_a_schema_that_is_too_large_is_not_read(served: SmallRegistry) -> None:
    number = served.add(SCHEMA + " " * answers.MAX_ANSWER_BYTES)
    registry = client_of(served)
    with pytest.raises(SchemaError, match=f"has schema {number} in over 4,194,304 bytes"):
        registry.schema_text(number)
    # Nor does a long list of subjects say that there is no registry.
    served.has_guids = False
    served.subjects["a" * answers.MAX_ANSWER_BYTES] = []
    with pytest.raises(SchemaError, match="cannot look a schema up by its GUID"):
        registry.schema_text(uuid.UUID(int=7))
    registry.close()


def test_an_answer_that_does_not_end_is_waited_for(served: SmallRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, number = client_of(served), served.add(SCHEMA)
    registry.connect()
    times = iter([0.0, 3 * PATIENT_SECONDS + 1.0])
    monkeypatch.setattr(answers, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with pytest.raises(RegistryUnavailableError, match="did not answer within 60 s") as caught:
        registry.schema_text(number)
    assert caught.value.retryable
    registry.close()


@pytest.mark.parametrize("content", ["[]", "{}", '"text"', "null", '{"schema": 5}', '{"schema": null}'])
def test_an_answer_without_a_schema_is_waited_for(
    served: SmallRegistry, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "answer", lambda *_: (200, content))
    registry = client_of(served)
    with pytest.raises(RegistryUnavailableError, match="gave an answer"):
        registry.schema_text(7)
    with pytest.raises(RegistryUnavailableError, match="gave an answer"):
        registry.id_of("topic-a.B", SCHEMA)
    registry.close()


def test_nothing_listens() -> None:
    with free_ports(1) as (port,):
        pass
    registry = Registry(RegistrySettings(url=f"http://127.0.0.1:{port}", timeout_seconds=PATIENT_SECONDS))
    with pytest.raises(RegistryUnavailableError, match=r"cannot be reached \(ConnectError\); is it up, and the URL"):
        registry.schema_text(7)
    registry.close()


def test_what_it_does_not_have_is_no_outage(served: SmallRegistry) -> None:
    registry = client_of(served)
    for question in (
        lambda: registry.schema_text(7),
        lambda: registry.schema_text(uuid.UUID(int=7)),
        lambda: registry.id_of("topic-a.B", SCHEMA),
    ):
        with pytest.raises(SchemaError, match="does not have"):
            question()
    registry.close()


def test_a_registry_without_guids_is_named(served: SmallRegistry) -> None:
    served.has_guids = False
    registry = client_of(served)
    with pytest.raises(SchemaError, match=f"{served.url} cannot look a schema up by its GUID"):
        registry.schema_text(uuid.UUID(int=7))
    served.fault = 404
    with pytest.raises(RegistryUnavailableError, match="no such path"):
        registry.schema_text(uuid.UUID(int=7))
    registry.close()


def test_a_login(served: SmallRegistry) -> None:
    served.user_info, number = "me:a:b", served.add(SCHEMA)
    for settings, works in (({"user_info": "me:a:b"}, True), ({"user_info": "me:other"}, False), ({}, False)):
        registry = client_of(served, **settings)
        if works:
            assert registry.schema_text(number) == SCHEMA
        else:
            with pytest.raises(RegistryDeniedError):
                registry.schema_text(number)
        registry.close()


@pytest.mark.parametrize("password", ["secret1", "s%40e%3Acret1"])
def test_a_login_in_the_url_works_and_no_log_line_has_it(
    served: SmallRegistry, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.user_info, number = f"me:{unquote(password)}", served.add(SCHEMA)
    url = served.url.replace("//", f"//me:{password}@")
    for urls in (url, f"{url}, {url}"):
        registry = Registry(RegistrySettings(url=urls, timeout_seconds=PATIENT_SECONDS))
        assert registry.schema_text(number) == SCHEMA
        served.fault = 500
        with pytest.raises(RegistryUnavailableError) as caught:
            registry.schema_text(number + 1)
        served.fault = 0
        registry.close()
        assert "cret1" not in f"{caught.value} {registry!r} {caplog.text}"
    assert "/schemas/ids/" in caplog.text, "the client's library logs its requests"


ENVIRON = {"FLOWISE_TELEMETRY_SCHEMA_REGISTRY_URL": "http://a:81/path", "FLOWISE_TELEMETRY_TOPIC": "events"}


def test_settings_come_from_the_environment() -> None:
    assert RegistrySettings.from_env({}) is None
    assert RegistrySettings.from_env(ENVIRON) == RegistrySettings(url="http://a:81/path")
    whole = RegistrySettings.from_env(ENVIRON | {"FLOWISE_TELEMETRY_SCHEMA_REGISTRY_USER_INFO": "me:secret1"})
    assert whole is not None
    assert "secret1" not in repr(whole)
    assert whole.dangers == ("the password for the schema registry at http://a:81/path is sent in clear: use https",)


WRONG = {
    "URL": ({"URL": "a:81"}, "must be http://host:port or https://host:port"),
    "port": ({"URL": "http://me:secret1@a:port"}, "must be http://host:port or https://host:port"),
    "user": ({"USER_INFO": "me"}, "must be user:password"),
    "twice": ({"URL": "http://me:secret1@a", "USER_INFO": "me:secret1"}, "names a user, and user_info is set too"),
    "time": ({"TIMEOUT_SECONDS": "soon"}, "SCHEMA_REGISTRY_TIMEOUT_SECONDS must be a number of seconds"),
    "no time": ({"TIMEOUT_SECONDS": "0"}, "must be over 0"),
    "key": ({"SSL_KEYFILE": "key.pem"}, "ssl_keyfile is set without ssl_certfile"),
    "name": ({"BASIC_AUTH": "me:secret1"}, "SCHEMA_REGISTRY_BASIC_AUTH is no setting; after"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_say_what_mends_them(wrong: str) -> None:
    changes, text = WRONG[wrong]
    with pytest.raises(ConfigurationError, match=text) as caught:
        RegistrySettings.from_env(
            ENVIRON | {f"FLOWISE_TELEMETRY_SCHEMA_REGISTRY_{name}": value for name, value in changes.items()}
        )
    assert "secret1" not in str(caught.value)


def test_a_missing_file_of_an_authority_is_named(tmp_path: Path) -> None:
    registry = Registry(RegistrySettings(url="https://a", ssl_cafile=str(tmp_path / "none.pem")))
    with pytest.raises(ConfigurationError, match="SCHEMA_REGISTRY_SSL_CAFILE"):
        registry.schema_text(7)


def test_tls_is_verified(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "another authority")
    with small_registry(ours.issue("registry")) as served:
        number = served.add(SCHEMA)
        registry = client_of(served, ssl_cafile=str(ours.file))
        assert registry.schema_text(number) == SCHEMA
        registry.close()
        for settings in ({}, {"ssl_cafile": str(theirs.file)}):
            registry = client_of(served, **settings)
            with pytest.raises(RegistryUnavailableError, match="not trusted here: name its authority as SCHEMA_REG"):
                registry.schema_text(number)
            registry.close()
        registry = Registry(RegistrySettings(url=served.url.replace("https", "http"), timeout_seconds=PATIENT_SECONDS))
        with pytest.raises(RegistryUnavailableError):
            registry.schema_text(number)
        registry.close()


def test_a_registry_without_tls_is_told(served: SmallRegistry) -> None:
    registry = Registry(RegistrySettings(url=served.url.replace("http", "https"), timeout_seconds=PATIENT_SECONDS))
    with pytest.raises(RegistryUnavailableError, match="gives no secure connection: is it https"):
        registry.schema_text(7)
    registry.close()
