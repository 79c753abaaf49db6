"""What only a ClickHouse server has: logins, TLS, databases of others, and users with the roles of docs/sinks.md.

``make test-clickhouse`` runs these and the contract suite on one; without a server they are skipped, by name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from flowise_telemetry_consumer.errors import SinkDeniedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.clickhouse import open_clickhouse
from flowise_telemetry_consumer.sinks.clickhouse.address import address_of
from tests.consumer.sinks.clickhouse_roles import ACTS, LACKING, ROLES, prepare_older, prepare_whole
from tests.services.clickhouse import ClickhouseService
from tests.services.ports import free_ports

_PASSWORD = "geheim"


def changed(url: str, *, login: str = "", port: int = 0, path: str = "", query: str = "secure=false") -> str:
    """Return the URL with another login, port, database or setting."""
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    address = f"{address.rpartition(':')[0]}:{port}" if port else address
    return urlunsplit(parts._replace(netloc=f"{login or user}@{address}", path=path or parts.path, query=query))


def said(url: str) -> SinkError:
    """Return the error of a first question, one line without a password."""
    with closing(open_clickhouse(url)) as sink, pytest.raises(SinkError) as caught:
        sink.counts()
    text = str(caught.value)
    assert "\n" not in text
    assert _PASSWORD not in text
    return caught.value


@pytest.fixture
def url(clickhouse_server: ClickhouseService) -> str:
    return clickhouse_server.new_database()


@contextmanager
def user_of(server: ClickhouseService) -> Iterator[str]:
    """Make a user who may do nothing; it goes at the end."""
    name = f"test_{uuid.uuid4().hex}"
    server.command(f"CREATE USER {name} IDENTIFIED BY '{_PASSWORD}'")
    yield name
    server.command(f"DROP USER {name}")


@pytest.fixture
def user(clickhouse_server: ClickhouseService) -> Iterator[str]:
    with user_of(clickhouse_server) as name:
        yield name


def test_a_wrong_password_is_told(url: str, user: str) -> None:
    error = said(changed(url, login=f"{user}:{_PASSWORD}-no-longer"))
    assert isinstance(error, SinkDeniedError)
    assert "rejected the login: check user, password and database" in str(error)


def test_an_unknown_user_is_told(url: str) -> None:
    error = said(changed(url, login=f"nobody:{_PASSWORD}"))
    assert isinstance(error, SinkDeniedError)
    assert "rejected the login" in str(error)


def test_a_database_that_is_not_there_is_told(url: str) -> None:
    error = said(changed(url, path="/missing"))
    assert not error.retryable
    assert "UNKNOWN_DATABASE: a database is made by its owner" in str(error)


def test_a_port_where_nobody_listens_is_an_outage(url: str) -> None:
    with free_ports(1) as (port,):
        pass
    error = said(changed(url, port=port))
    assert isinstance(error, SinkUnavailableError)
    assert "cannot be reached" in str(error)


def test_tls_to_a_plain_port_is_told(url: str) -> None:
    if address_of(url).arguments["secure"]:
        pytest.skip("this server speaks TLS there")
    error = said(changed(url, query="secure=true"))
    assert isinstance(error, SinkUnavailableError)
    assert "speaks plain HTTP there (?secure=false)" in str(error)


def granted(server: ClickhouseService, url: str, user: str, role: str, *, without: str = "") -> str:
    """Prepare the database for a role, and return the URL of a user who has it, or all but one of its rights."""
    (prepare_older if role == "owner" else prepare_whole)(address_of(url))
    rights = ", ".join(right for right in ROLES[role] if right != without)
    if rights:
        server.command(f"GRANT {rights} ON {urlsplit(url).path.removeprefix('/')}.* TO {user}")
    return changed(url, login=f"{user}:{_PASSWORD}", query=urlsplit(url).query)


@pytest.mark.parametrize("role", ROLES)
def test_the_rights_of_a_role_are_enough(clickhouse_server: ClickhouseService, url: str, user: str, role: str) -> None:
    with closing(open_clickhouse(granted(clickhouse_server, url, user, role))) as sink:
        ACTS[role](sink)


def test_each_right_is_needed_and_told(clickhouse_server: ClickhouseService) -> None:
    for role, right in LACKING:
        with user_of(clickhouse_server) as user:
            url = granted(clickhouse_server, clickhouse_server.new_database(), user, role, without=right)
            with closing(open_clickhouse(url)) as sink, pytest.raises(SinkError) as caught:
                ACTS[role](sink)
        text = str(caught.value)
        assert re.search(rf"grant.*\b{right}\b", text), text
        assert _PASSWORD not in text
        assert "\n" not in text
