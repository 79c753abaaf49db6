"""An outage with a spool: a thousand events a second, with real clients, and none is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from flowise_telemetry.spool.files import spooled_events
from flowise_telemetry_transport import EmbeddedBroker
from tests.producer.app_process import CLIENTS, RunApp, hanging
from tests.producer.samples import wait_until
from tests.thoroughness import IS_CI

pytestmark = [pytest.mark.slow, pytest.mark.services]

EVENTS = 11_000
"""More than what a client may have in flight, and than the window of a spool."""

# One at a time and not later than a thousand a second; what a busy machine holds up comes at once.
SUSTAINED = f"""
began = time.monotonic()
for n in range({EVENTS}):
    telemetry.send_telemetry(event(n))
    if n == 2_000:
        open("some are sent", "w").close()
    time.sleep(max(0.0, began + n / 1_000 - time.monotonic()) if n % 20 == 0 else 0.0)
telemetry.close(timeout_seconds=1.0)
stats = telemetry.stats()
print(json.dumps([stats.accepted, stats.refused, dict(stats.dropped), stats.sent + stats.spooled]))
"""


@contextmanager
def dies(folder: Path) -> Iterator[str]:
    """A broker that takes the first events and is gone then."""
    broker = EmbeddedBroker().start()
    broker.ensure_topic("events")

    def die() -> None:
        wait_until((folder / "some are sent").exists, timeout_seconds=120.0)
        broker.stop()

    dying = threading.Thread(target=die)
    dying.start()
    try:
        yield ",".join(broker.bootstrap_servers)
    finally:
        (folder / "some are sent").touch()
        dying.join()


BROKERS: Mapping[str, Callable[[Path], AbstractContextManager[str]]] = {
    "away": lambda _: nullcontext("127.0.0.1:1"),
    "half open": hanging,
    "dies": dies,
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("broker", BROKERS if IS_CI else ["half open"])
def test_it_refuses_none_and_keeps_all(run_app: RunApp, tmp_path: Path, broker: str, client: str) -> None:
    with BROKERS[broker](tmp_path) as servers:
        done = run_app(
            SUSTAINED,
            before="import json\n",
            FLOWISE_TELEMETRY_CLIENT=client,
            FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=servers,
            FLOWISE_TELEMETRY_TOPIC="events",
            FLOWISE_TELEMETRY_SPOOL_DIR="spool",
        )
    assert done.returncode == 0, done.stderr
    accepted, refused, dropped, kept = json.loads(done.stdout)
    assert (accepted, refused, dropped, kept) == (EVENTS, 0, {}, EVENTS)
    in_spool = spooled_events(tmp_path / "spool")
    assert in_spool == EVENTS or (broker == "dies" and in_spool < EVENTS)
