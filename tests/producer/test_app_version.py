"""Versions as apps have them, and as the schemas take them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry import ConfigurationError, Telemetry
from flowise_telemetry.app_version import normalized_version
from flowise_telemetry.consent.status import status
from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created

PATTERN = str(next(field.pattern for field in catalog().latest("tool_created").fields if field.name == "version"))

VERSIONS = {
    "3.0.1": "3.0.1",
    " 3.1 ": "3.1.0",
    "3": "3.0.0",
    "3.0.1rc1": "3.0.1-rc.1",
    "3.0.1a2": "3.0.1-alpha.2",
    "3.0.1b2": "3.0.1-beta.2",
    "3.0.1.post1": "3.0.1-post.1",
    "3.0.1-1": "3.0.1-post.1",
    "3.0.1.dev3": "3.0.1-dev.3",
    "3.0.1rc1.dev3": "3.0.1-rc.1",
    "3.0.1+build": "3.0.1",
    "3.0.1+build.5": "3.0.1",
    "3.0.1.post1+local": "3.0.1-post.1",
    "v3.0.1": "3.0.1",
    "V3.0.1-RC1": "3.0.1-rc.1",
    "3.0.1-rc.1": "3.0.1-rc.1",
    "3.0.1-a.1": "3.0.1-a.1",  # as it is: the schemas take it
    "3.0.1-alpha.beta+001": "3.0.1-alpha",
    "3.0.1-0.3.7": "3.0.1-pre.0.3",
    "3.0.1-SNAPSHOT": "3.0.1-snapshot",
    "v3.0.1-5-gabc1234-dirty": "3.0.1-post.5",
    "1.2.3.4": "1.2.3",
    "2024.01.05": "2024.01.05",
    "9999.9999.9999-abcdefghijkl.123456.123456": "9999.9999.9999-abcdefghijkl.123456.123456",
}
NONE = [
    "",
    " ",
    "main",
    "unknown",
    "20240105",
    "1!2.0",
    "..",
    "v",
    "1.2.3--",
    "10.0.19045",
    "20240105.1.0",
    None,
    3.1,
    b"3.0.1",
]


@pytest.mark.parametrize("given_version", VERSIONS)
def test_versions_of_python_and_of_semver_are_sent(
    given_version: str, make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str]
) -> None:
    telemetry = make_telemetry(app_version=given_version, strict=True)
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    assert [record["version"] for record in stored(broker)] == [VERSIONS[given_version]]
    assert status(environ=environ, app_version=given_version).app_version == VERSIONS[given_version]


@pytest.mark.parametrize("given_version", NONE)
def test_what_is_no_version_is_said_by_constructor_and_status(
    given_version: object, make_telemetry: MakeTelemetry, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = make_telemetry(app_version=given_version)
    assert not telemetry.active
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "app_version is no version" in caplog.text
    for _ in range(3):
        telemetry.send_telemetry(tool_created())
    assert len(caplog.records) == 1
    with pytest.raises(ConfigurationError, match="app_version is no version"):
        make_telemetry(app_version=given_version, strict=True)
    if isinstance(given_version, str):
        found = status(environ={**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "a:1"}, app_version=given_version)
        assert (found.enabled, found.active, found.app_version) == (True, False, None)


def test_one_that_is_off_says_nothing_of_its_version(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    Telemetry(app_version="main", environ=environ, enabled=False, strict=True)
    assert not caplog.records


@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"v?[0-9.]{1,8}[-+._a-z0-9]{0,20}", fullmatch=True)))
def test_the_schemas_take_whatever_comes_out(text: str) -> None:
    found = normalized_version(text)
    if found is not None:
        assert re.fullmatch(PATTERN, found)
        assert len(found) <= 41
        assert normalized_version(found) == found
    if re.fullmatch(PATTERN, text) and text.isascii():
        assert found == text
