"""Copies and pickles of a ``Telemetry``, as joblib and multiprocessing make them."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry_transport import InMemoryBroker, KafkaSettings
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created


@pytest.mark.parametrize("enabled", [True, False])
def test_a_copy_is_the_same_object(enabled: bool, make_telemetry: MakeTelemetry) -> None:
    telemetry = make_telemetry(enabled=enabled)
    assert copy.copy(telemetry) is copy.deepcopy({"it": [telemetry]})["it"][0] is telemetry
    assert pickle.loads(pickle.dumps(telemetry)) is telemetry
    assert json.loads(json.dumps(dataclasses.asdict(telemetry.stats())))["accepted"] == 0
    assert pickle.loads(pickle.dumps(telemetry.stats())) == telemetry.stats()


def test_settings_and_limits_are_plain_data() -> None:
    settings = KafkaSettings(bootstrap_servers=("a:1",), options={"linger_ms": "1"})
    assert dataclasses.asdict(settings)["options"] == {"linger_ms": "1"}
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings


def test_a_pickle_holds_no_secret_and_no_callback(make_telemetry: MakeTelemetry, environ: dict[str, str]) -> None:
    environ["FLOWISE_TELEMETRY_KAFKA_SASL_PASSWORD"] = "hunter2marker"
    telemetry = make_telemetry(on_drop=lambda reason, event: None, bootstrap_servers="ann:hunter2marker@kafka:9092")
    assert b"hunter2marker" not in pickle.dumps(telemetry)


LOAD = """
import pickle, sys, json
data = bytes.fromhex(sys.argv[1])
telemetry = pickle.loads(data)
assert pickle.loads(data) is telemetry
from flowise_telemetry import ToolCreated
telemetry.send_telemetry(ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="a_tool"))
stats = telemetry.stats()
limit = telemetry._limits.buffer_max_events
print(json.dumps([telemetry.active, telemetry.consent.enabled, limit, stats.accepted, stats.dropped]))
"""


def loaded_elsewhere(telemetry: Telemetry, **environ: str) -> list[object]:
    command = [sys.executable, "-c", LOAD, pickle.dumps(telemetry).hex()]
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=True
    )
    found: list[object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_in_another_process_it_is_made_anew_from_the_environment_there(make_telemetry: MakeTelemetry) -> None:
    telemetry = make_telemetry(limits=Limits(buffer_max_events=7))
    servers = {"FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    assert loaded_elsewhere(telemetry, **servers) == [True, True, 7, 1, {}]
    assert loaded_elsewhere(telemetry) == [False, True, 7, 0, {}]
    assert loaded_elsewhere(telemetry, **servers, DO_NOT_TRACK="1") == [False, False, 7, 0, {}]
    telemetry.close()
    assert loaded_elsewhere(telemetry, **servers) == [True, True, 7, 0, {"closed": 1}]


@pytest.mark.parametrize("how", ["argument", "environment", "command", "set_enabled"])
def test_one_that_is_off_stays_off(
    how: str, make_telemetry: MakeTelemetry, environ: dict[str, str], tmp_path: Path
) -> None:
    if how == "environment":
        environ["DO_NOT_TRACK"] = "1"
    elif how == "command":
        store_choice(False, environ=environ)
    telemetry = make_telemetry(enabled="no" if how == "argument" else None)
    if how == "set_enabled":
        telemetry.set_enabled(False)
    found = loaded_elsewhere(
        telemetry,
        FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS="127.0.0.1:1",
        FLOWISE_TELEMETRY_CONFIG_DIR=str(tmp_path / "another"),
    )
    assert found[:2] == [False, False]


def test_a_copy_sends_into_the_same_stream(make_telemetry: MakeTelemetry, broker: InMemoryBroker) -> None:
    telemetry = make_telemetry()
    for one in (telemetry, copy.deepcopy(telemetry), pickle.loads(pickle.dumps(telemetry))):
        one.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    assert [record["sequence"] for record in stored(broker)] == [0, 1, 2]
