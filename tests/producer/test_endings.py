"""A process that just ends, with no call of ``close``: what it keeps, and what it says is lost."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry.spool.files import spooled_events
from flowise_telemetry_transport import EmbeddedBroker
from tests.producer.app_process import CLIENTS, RunApp, hanging
from tests.producer.samples import wait_until

pytestmark = pytest.mark.slow

EVENTS = 100

# Exit handlers run in reverse order: what is registered before the import sees the counts after the end of telemetry.
COUNTED = """
import atexit, json
def tell():
    stats = telemetry.stats()
    print(json.dumps({"accepted": stats.accepted, "sent": stats.sent, "dropped": dict(stats.dropped),
                      "buffered": stats.buffered, "spooled": stats.spooled}))
atexit.register(tell)
"""


@pytest.fixture
def hanging_server(tmp_path: Path) -> Iterator[str]:
    with hanging(tmp_path) as address:
        yield address


SEND_HALF = f"for n in range({EVENTS // 2}):\n    telemetry.send_telemetry(event(n))\n"
MOMENTS = {
    "at once": "",
    "once the client is connected": 'wait_until(lambda: os.path.exists("connected"))\n',
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_with_a_spool_and_a_broker_that_hangs_a_script_that_just_ends_keeps_everything(
    run_app: RunApp, hanging_server: str, tmp_path: Path, client: str, moment: str
) -> None:
    spool = tmp_path / "spool"
    done = run_app(
        SEND_HALF + MOMENTS[moment] + SEND_HALF,
        before=COUNTED,
        FLOWISE_TELEMETRY_CLIENT=client,
        FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=hanging_server,
        FLOWISE_TELEMETRY_SPOOL_DIR=str(spool),
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    assert counts == {"accepted": EVENTS, "sent": 0, "dropped": {}, "buffered": EVENTS, "spooled": EVENTS}
    assert "lost" not in done.stderr
    assert spooled_events(spool) == EVENTS
    assert (tmp_path / "connected").exists() or not MOMENTS[moment]


LOGGED = "import logging\nlogging.basicConfig()\n"  # else the one line that is seen may be that of the outage
LOST = re.compile(r"telemetry: (\d+) events were lost by the end: (\d+) closed; what is closed was not delivered")


@pytest.mark.parametrize("client", CLIENTS)
def test_without_a_spool_a_script_that_just_ends_says_how_many_it_lost(
    run_app: RunApp, hanging_server: str, client: str
) -> None:
    done = run_app(
        LOGGED + SEND_HALF + MOMENTS["once the client is connected"] + SEND_HALF,
        before=COUNTED,
        FLOWISE_TELEMETRY_CLIENT=client,
        FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=hanging_server,
    )
    assert LOST.findall(done.stderr) == [(str(EVENTS), str(EVENTS))]
    counts = json.loads(done.stdout)
    assert counts == {"accepted": EVENTS, "sent": 0, "dropped": {"closed": EVENTS}, "buffered": 0, "spooled": 0}


@pytest.mark.services
@pytest.mark.parametrize("client", CLIENTS)
def test_what_was_delivered_before_is_not_among_the_lost(run_app: RunApp, tmp_path: Path, client: str) -> None:
    broker = EmbeddedBroker().start()
    broker.ensure_topic("events")

    def stop_once_some_are_delivered() -> None:
        wait_until((tmp_path / "delivered").exists, timeout_seconds=120.0)
        broker.stop()
        (tmp_path / "stopped").touch()

    stopping = threading.Thread(target=stop_once_some_are_delivered)
    stopping.start()
    code = """
for n in range(7):
    telemetry.send_telemetry(event(n))
assert telemetry.flush(60)
open("delivered", "w").close()
wait_until(lambda: os.path.exists("stopped"))
"""
    try:
        done = run_app(
            LOGGED + code + SEND_HALF,
            before=COUNTED,
            FLOWISE_TELEMETRY_CLIENT=client,
            FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=",".join(broker.bootstrap_servers),
            FLOWISE_TELEMETRY_TOPIC="events",
        )
    finally:
        (tmp_path / "delivered").touch()
        stopping.join()
    counts = json.loads(done.stdout)
    lost = EVENTS // 2
    assert counts == {"accepted": 7 + lost, "sent": 7, "dropped": {"closed": lost}, "buffered": 0, "spooled": 0}
    assert LOST.findall(done.stderr) == [(str(lost), str(lost))]
