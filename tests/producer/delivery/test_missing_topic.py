"""A topic that is not there, on a cluster that creates none: said at once, with its name and what mends it."""

from __future__ import annotations

import pytest

from tests.producer.app_process import CLIENTS, SAID_ONCE, RunApp
from tests.services.kafka import KafkaService
from tests.thoroughness import IS_CI

pytestmark = [pytest.mark.slow, pytest.mark.real_broker]

# Later attempts fail as well, and may not say less.
TOLD = """
telemetry.send_telemetry(event())
wait_until(lambda: telemetry.stats().last_error)
first = telemetry.stats().last_error
for n in range(2):
    telemetry.flush(1.5)
print(first, telemetry.stats().last_error, sep="\\n")
"""


@pytest.mark.parametrize("spool", [False, True] if IS_CI else [False])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_one_warning_names_the_topic_and_the_mend(
    run_app: RunApp, kafka: KafkaService, client: str, spool: bool
) -> None:
    topic = f"{kafka.new_group()}-missing"
    done = run_app(
        TOLD,
        FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=",".join(kafka.bootstrap_servers),
        FLOWISE_TELEMETRY_TOPIC=topic,
        FLOWISE_TELEMETRY_CLIENT=client,
        **({"FLOWISE_TELEMETRY_SPOOL_DIR": "spool"} if spool else {}),
    )
    assert done.returncode == 0, done.stderr
    said = f"topic {topic} does not exist: create it with flowise-telemetry topics create"
    assert done.stdout.splitlines() == [said, said]
    assert said in done.stderr
    assert SAID_ONCE.fullmatch(done.stderr)
