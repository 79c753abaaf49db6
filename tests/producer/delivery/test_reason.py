"""Why nothing is delivered: in the app's one WARNING and in ``stats``, within seconds, whichever the client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry_transport.clients import CLIENTS
from tests.producer.samples import tool_created, wait_until
from tests.services.certificates import Authority
from tests.transport.small_broker import SmallBroker

pytestmark = pytest.mark.slow

K = "FLOWISE_TELEMETRY_KAFKA_"
INSTALLED = sorted(name for name, client in CLIENTS.items() if find_spec(client.LIBRARY))
USERS = {"app": "app-password"}
_TRIES = 4  # on a busy machine the broker here may need longer than a diagnosis waits, and that is then said, rightly


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SmallBroker]:
    with closing(SmallBroker(certificate=Authority(tmp_path / "ours").issue("broker"), users=USERS)) as opened:
        yield opened


CASES = {
    "authority": ({"SECURITY_PROTOCOL": "SASL_SSL"}, "of an authority that is not trusted here"),
    "password": (
        {"SECURITY_PROTOCOL": "SASL_SSL", "SSL_CAFILE": "ours/ca.pem"},
        "rejected the login of user 'app'",
    ),
    "plain": ({"SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "speaks TLS"),
}


def _last_error(environ: dict[str, str]) -> str:
    telemetry = Telemetry(app_version="3.0.1", environ=environ, first_run_notice=False)
    assert telemetry.stats().last_error is None
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: telemetry.stats().last_error)
    found = telemetry.stats().last_error or ""
    telemetry.close(timeout_seconds=0.2)
    return found


@pytest.mark.parametrize("client", INSTALLED)
@pytest.mark.parametrize("case", CASES)
def test_the_one_warning_says_it(
    case: str,
    client: str,
    broker: SmallBroker,
    environ: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings, said = CASES[case]
    settings = {name: str(tmp_path / text) if "CAFILE" in name else text for name, text in settings.items()}
    login = {"SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "app", "SASL_PASSWORD": "hunter2marker"}
    environ |= {f"{K}{name}": text for name, text in {**login, **settings}.items()}
    environ |= {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": broker.server, "FLOWISE_TELEMETRY_CLIENT": client}
    for _ in range(_TRIES):
        caplog.clear()
        found = _last_error(environ)
        if "does not answer within" not in found:
            break
    assert said in found
    assert broker.server in found
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [said in warning for warning in warnings if "delivery fails" in warning] == [True]
    assert "hunter2marker" not in caplog.text
