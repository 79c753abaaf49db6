"""A password in the address of the brokers, wherever an app's user might read it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from flowise_telemetry import ConfigurationError, Telemetry
from flowise_telemetry.consent.status import status
from flowise_telemetry.settings import ProducerSettings
from tests.producer.samples import tool_created, wait_until

SECRET = "hunter2marker"
ADDRESSES = [f"ann:{SECRET}@127.0.0.1:1", f"{SECRET}@127.0.0.1:1", f"SASL_SSL://ann:{SECRET}@127.0.0.1:1"]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_warning_exception_or_status_shows_it(
    address: str, client: str, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ |= {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": address, "FLOWISE_TELEMETRY_CLIENT": client}
    found = status(environ=environ)
    assert SECRET not in repr(found)
    assert "127.0.0.1:1" in found.bootstrap_servers or "***" in found.bootstrap_servers
    assert SECRET not in repr(ProducerSettings.read(environ, {}))
    with pytest.raises(ConfigurationError) as raised:
        Telemetry(app_version="3.0.1", environ=environ, strict=True)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    with caplog.at_level(logging.DEBUG):
        telemetry = Telemetry(app_version="3.0.1", environ=environ, first_run_notice=False)
        telemetry.send_telemetry(tool_created())
        wait_until(lambda: "WARNING" in caplog.text)
        telemetry.close(timeout_seconds=0.2)
    assert SECRET not in caplog.text
    assert SECRET not in repr(telemetry)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["send"], ["topics", "create"]])
def test_no_command_shows_it(command: list[str], working_directory: Path) -> None:
    address = ADDRESSES[0]
    environ = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": address, "HOME": str(working_directory), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", "from flowise_telemetry_cli.main import main; main()", *command],
        env=environ,
        input=json.dumps({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "***@127.0.0.1:1" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "endpoint",
    [
        f"https://ann:{SECRET}@127.0.0.1:1",
        f"https://{SECRET}@127.0.0.1:1/path",
        f"https://127.0.0.1:1/path?key={SECRET}",
        f"https://127.0.0.1:1#{SECRET}",
        f"https://127.0.0.1:{SECRET}/",
        f"ann:{SECRET}@127.0.0.1:1",
        "https://127.0.0.1:1",
    ],
)
def test_an_endpoint_and_its_key_show_no_more_than_an_address(
    endpoint: str, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ |= {
        "FLOWISE_TELEMETRY_ENDPOINT": endpoint,
        "FLOWISE_TELEMETRY_PROJECT_KEY": f"{SECRET}-key",
        "HTTPS_PROXY": f"socks5://ann:{SECRET}@127.0.0.1:1",
        "NO_PROXY": "",
    }
    assert SECRET not in repr(status(environ=environ))
    assert SECRET not in repr(ProducerSettings.read(environ, {}))
    with caplog.at_level(logging.DEBUG):
        telemetry = Telemetry(app_version="3.0.1", environ=environ, first_run_notice=False)
        telemetry.send_telemetry(tool_created())
        wait_until(lambda: "WARNING" in caplog.text)
        telemetry.close(timeout_seconds=0.2)
    assert SECRET not in caplog.text
    assert SECRET not in repr(telemetry)
    assert SECRET not in _said_by_strict(environ)


def _said_by_strict(environ: dict[str, str]) -> str:
    try:
        Telemetry(app_version="3.0.1", environ=environ, strict=True).close(timeout_seconds=0.1)
    except ConfigurationError as error:
        return "".join(traceback.format_exception(error))
    return ""
