"""HTTPS by flags, and what is said of files that cannot be used."""

from __future__ import annotations

import http.client
import ssl
import threading
from pathlib import Path

import pytest

from flowise_telemetry_gateway import serve
from flowise_telemetry_gateway.serving.server import bound_socket
from flowise_telemetry_schemas import ConfigurationError
from tests.gateway.conftest import MakeGateway
from tests.services.certificates import Authority


def test_a_gateway_answers_over_tls_alone(make_gateway: MakeGateway, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    world = make_gateway(tls_certificate=authority.issue("gateway"))
    trusting = ssl.create_default_context(cafile=authority.file)
    connection = http.client.HTTPSConnection("localhost", world.port, timeout=60, context=trusting)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    connection.close()
    with pytest.raises((http.client.HTTPException, OSError)):
        world.request("GET", "/healthz")


@pytest.mark.parametrize("which", ["none", "no certificate", "locked"])
def test_a_certificate_that_cannot_be_used_is_named_and_no_passphrase_asked_for(
    make_gateway: MakeGateway, tmp_path: Path, which: str
) -> None:
    file = tmp_path / "gateway.pem"
    if which == "no certificate":
        file.write_text("text")
    elif which == "locked":
        file = Authority(tmp_path / "authority").issue("locked", passphrase="a passphrase")
    gateway = make_gateway().gateway
    with bound_socket("127.0.0.1", 0) as bound, pytest.raises(ConfigurationError, match="name PEM files") as told:
        serve(gateway, bound, stop=threading.Event(), tls_certificate=file)
    assert str(told.value).startswith(f"{file}: ")
    assert told.value.argument == "tls_certificate"
