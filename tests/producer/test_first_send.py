"""The first send of an app returns at once, however long a client takes to be imported."""

from __future__ import annotations

import json

import pytest

from tests.producer.app_process import CLIENTS, RunApp

pytestmark = pytest.mark.slow

# The client's import waits until the app lets it on: a call that waits for it would come too late for that.
BLOCKED = """
import json
importers, let_on, in_time = set(), threading.Event(), []
class Blocking:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("kafka", "confluent_kafka"):
            importers.add(threading.current_thread())
            in_time.append(let_on.wait(60))
            let_on.set()  # where a call waits for it, once is enough
sys.meta_path.insert(0, Blocking())
made_before = Telemetry(app_version="3.0.1")
telemetry.send_telemetry(event())
wait_until(lambda: importers)  # it is stuck there from now on
made_before.send_telemetry(event())
made_meanwhile = Telemetry(app_version="3.0.1")
made_meanwhile.send_telemetry(event())
telemetry.send_telemetry(event())
counts = [each.stats().accepted for each in (telemetry, made_before, made_meanwhile)]
let_on.set()
wait_until(lambda: {"kafka.producer", "confluent_kafka"} & set(sys.modules))
print(json.dumps({"accepted": counts, "in time": all(in_time), "here": threading.main_thread() in importers}))
"""


@pytest.mark.parametrize("spool", [False, True], ids=["no spool", "spool"])
@pytest.mark.parametrize("client", CLIENTS)
def test_no_send_waits_for_an_import_nor_imports_itself(run_app: RunApp, client: str, spool: bool) -> None:
    environ = {"FLOWISE_TELEMETRY_SPOOL_DIR": "spool"} if spool else {}
    done = run_app(BLOCKED, FLOWISE_TELEMETRY_CLIENT=client, **environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"accepted": [2, 1, 1], "in time": True, "here": False}
