"""An app that sends through a gateway: nothing is different but the way."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowise_telemetry import ConfigurationError
from flowise_telemetry.ledger import read_ledger
from flowise_telemetry_schemas import catalog, codec
from flowise_telemetry_transport.gateway.wire import WireRecord
from flowise_telemetry_transport.topics import EVENTS_TOPIC
from tests.producer.app_process import LATE_SECONDS
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import states, stored, tool_created, wait_until
from tests.producer.test_lifecycle import IN_A_SUB_INTERPRETER
from tests.transport.gateway.server import KEY, Fault, GatewayServer, Request, say, serving

ROOT = Path(__file__).parents[3]


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    with serving(GatewayServer(topic=EVENTS_TOPIC)) as served:
        yield served


@pytest.fixture
def way(gateway: GatewayServer, environ: dict[str, str]) -> dict[str, Any]:
    """The arguments of a ``Telemetry`` whose environment names the gateway."""
    environ |= {"FLOWISE_TELEMETRY_ENDPOINT": gateway.url, "FLOWISE_TELEMETRY_PROJECT_KEY": KEY}
    return {"writer_factory": None, "first_run_notice": False}


def losing(gateway: GatewayServer) -> Fault:
    """Take the records, and lose the answer."""

    def lose(request: Request) -> None:
        gateway.accept(request.records)
        request.reset()

    return lose


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]


def test_streams_and_sequences_arrive_intact(
    make_telemetry: MakeTelemetry, gateway: GatewayServer, way: dict[str, Any]
) -> None:
    telemetry = make_telemetry(**way)
    assert telemetry.active
    for number in range(1_500):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(30.0)
    telemetry.close()
    records = stored(gateway.broker)
    assert [record["sequence"] for record in records] == list(range(1_500))
    assert {record["streamId"] for record in records} == {telemetry.stats().stream_id}
    assert [state["ended"] for state in states(gateway.broker)] == [True]
    for request in gateway.requests:
        for record in request.records:
            assert (record.headers, record.timestamp_ms) == ((), None)
            assert str(codec.decode(record.value or b"", catalog())[1]["eventId"]).encode() == record.key


def test_the_ledger_says_that_a_gateway_took_it(
    make_telemetry: MakeTelemetry, way: dict[str, Any], tmp_path: Path
) -> None:
    telemetry = make_telemetry(**way, ledger_path=tmp_path / "ledger")
    telemetry.send_telemetry(tool_created(7))
    assert telemetry.flush(30.0)
    (entry,) = read_ledger(tmp_path / "ledger")
    assert (entry.topic, entry.partition, entry.offset, entry.event) == ("gateway", None, None, "tool_created")
    assert entry.record["toolName"] == "get_weather"


def test_what_a_gateway_refuses_for_good_is_counted_and_the_rest_goes(
    make_telemetry: MakeTelemetry, gateway: GatewayServer, way: dict[str, Any]
) -> None:
    def refuses(record: WireRecord) -> str | None:
        sequence = codec.decode(record.value or b"", catalog())[1]["sequence"]
        return {3: "constraint", 5: "too_large"}.get(sequence)

    gateway.refuses = refuses
    telemetry = make_telemetry(**way)
    for number in range(10):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(30.0)
    stats = telemetry.stats()
    assert (stats.sent, stats.dropped) == (8, {"rejected": 1, "too_large": 1})


def test_a_revoked_key_is_told_once_and_the_spool_keeps_everything(
    make_telemetry: MakeTelemetry,
    gateway: GatewayServer,
    way: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway.revoked.add(KEY)
    telemetry = make_telemetry(**way, spool_dir=tmp_path / "spool")
    for number in range(50):
        telemetry.send_telemetry(tool_created(number))
        telemetry.flush(0.01)
    wait_until(lambda: telemetry.stats().spooled == 50 and telemetry.stats().error_lasts)
    assert "revoked" in str(telemetry.stats().last_error)
    telemetry.close()
    assert len(gateway.requests) == 1
    (said,) = warnings(caplog)
    assert "revoked" in said
    assert KEY not in said
    gateway.revoked.clear()
    again = make_telemetry(**way, spool_dir=tmp_path / "spool")
    wait_until(lambda: again.stats().sent == 50)
    assert [record["sequence"] for record in stored(gateway.broker)] == list(range(50))


def test_an_outage_ends_with_everything_once(
    make_telemetry: MakeTelemetry, gateway: GatewayServer, way: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    gateway.faults += [say(500), say(200), losing(gateway)]
    telemetry = make_telemetry(**way)
    for number in range(200):
        telemetry.send_telemetry(tool_created(number))
    wait_until(lambda: telemetry.flush(0.1))
    stats = telemetry.stats()
    assert (stats.sent, stats.dropped, stats.last_error) == (200, {}, None)
    counts = Counter(record["sequence"] for record in stored(gateway.broker))
    assert set(counts) == set(range(200))  # what was stored twice has the same event id
    assert len({record["eventId"] for record in stored(gateway.broker)}) == 200
    assert len(warnings(caplog)) == 1


def test_without_a_gateway_close_keeps_its_time_and_the_spool_the_events(
    make_telemetry: MakeTelemetry, gateway: GatewayServer, way: dict[str, Any], tmp_path: Path
) -> None:
    telemetry = make_telemetry(**way, endpoint="http://127.0.0.1:1", spool_dir=tmp_path / "spool")
    for number in range(100):
        telemetry.send_telemetry(tool_created(number))
    assert not telemetry.flush(0.2)
    telemetry.close(timeout_seconds=0.2)
    assert (telemetry.stats().spooled, telemetry.stats().dropped) == (100, {})
    again = make_telemetry(**way, spool_dir=tmp_path / "spool")
    wait_until(lambda: again.stats().sent == 100)
    assert len({record["eventId"] for record in stored(gateway.broker)}) == 100


# -- settings ---------------------------------------------------------------------------------------------------

SERVERS, ENDPOINT = "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS", "FLOWISE_TELEMETRY_ENDPOINT"


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ({"endpoint": "https://e", "bootstrap_servers": "b:9092", "project_key": "k"}, {}, [ENDPOINT, SERVERS]),
        ({"project_key": "k"}, {ENDPOINT: "https://e", SERVERS: "b:9092"}, [ENDPOINT, SERVERS]),
        ({"endpoint": "https://e"}, {}, ["PROJECT_KEY", "PROJECT_KEY_FILE"]),
        ({"endpoint": "http://far.example.org", "project_key": "k"}, {}, ["clear", "ALLOW_HTTP"]),
        ({"endpoint": "ftp://e", "project_key": "k"}, {}, ["no address of a gateway"]),
        ({"endpoint": "https://me:secret@e", "project_key": "k"}, {}, ["give the key as"]),
        ({"endpoint": "https://e?key=secret", "project_key": "k"}, {}, ["give the key as"]),
        ({"endpoint": "https://e:99999", "project_key": "k"}, {}, ["no address of a gateway"]),
        ({"endpoint": "https://e", "project_key": "sec ret"}, {}, ["one word"]),
        ({"endpoint": "https://e", "project_key": "k", "project_key_file": "/f"}, {}, ["both set"]),
        (
            {"endpoint": "https://e", "project_key": "k"},
            {"FLOWISE_TELEMETRY_KAFKA_SASL_PASSWORD": "secret"},
            ["KAFKA_SASL_PASSWORD", "no effect", ENDPOINT],
        ),
    ],
)
def test_wrong_settings_say_what_mends_them(
    arguments: dict[str, Any],
    variables: dict[str, str],
    words: list[str],
    make_telemetry: MakeTelemetry,
    environ: dict[str, str],
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_telemetry(writer_factory=None, strict=True, environ={**environ, **variables}, **arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "secret" not in str(caught.value)
    assert "sec ret" not in str(caught.value)


def test_wrong_settings_end_no_app(
    make_telemetry: MakeTelemetry, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = make_telemetry(writer_factory=None, endpoint="https://e", bootstrap_servers="b:9092", project_key="k")
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: warnings(caplog))
    assert "both set" in warnings(caplog)[0]


@pytest.mark.parametrize(
    ("arguments", "variables", "found"),
    [
        ({"endpoint": "https://a"}, {SERVERS: "e:9092"}, ("", "https://a")),
        ({"bootstrap_servers": "a:9092"}, {ENDPOINT: "https://e"}, ("a:9092", "")),
        ({}, {ENDPOINT: "https://e"}, ("", "https://e")),
    ],
)
@pytest.mark.parametrize("file", ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=f:9092", "FLOWISE_TELEMETRY_ENDPOINT=https://f"])
@pytest.mark.parametrize("is_named", [False, True])
def test_the_first_source_that_names_a_way_decides(
    arguments: dict[str, Any],
    variables: dict[str, str],
    found: tuple[str, str],
    file: str,
    is_named: bool,
    make_telemetry: MakeTelemetry,
    environ: dict[str, str],
    working_directory: Path,
) -> None:
    (working_directory / ".env").write_text(file)
    telemetry = make_telemetry(
        environ={**environ, **variables}, env_file=working_directory / ".env" if is_named else None, **arguments
    )
    settings = telemetry._settings
    assert (settings.bootstrap_servers, settings.endpoint) == found
    assert settings.connection.get(SERVERS, "") == found[0]
    assert settings.connection.get(ENDPOINT, "") == found[1]


@pytest.mark.parametrize(
    "variables",
    [{"FLOWISE_TELEMETRY_PROJECT_KEY": "ours"}, {"FLOWISE_TELEMETRY_PROJECT_KEY_FILE": "/run/secrets/key"}],
)
def test_a_found_file_never_gets_a_key_that_is_not_its_own(
    variables: dict[str, str], make_telemetry: MakeTelemetry, environ: dict[str, str], working_directory: Path
) -> None:
    (working_directory / ".env").write_text("FLOWISE_TELEMETRY_ENDPOINT=https://theirs\n")
    telemetry = make_telemetry(environ={**environ, **variables})
    assert (telemetry._settings.endpoint, telemetry._settings.passed_over) == ("", (ENDPOINT,))
    assert make_telemetry(project_key="ours")._settings.endpoint == ""


def test_a_found_file_names_no_file_to_send_and_lets_no_key_travel_in_clear(
    make_telemetry: MakeTelemetry, working_directory: Path
) -> None:
    (working_directory / ".env").write_text(
        "FLOWISE_TELEMETRY_ENDPOINT=http://theirs\nFLOWISE_TELEMETRY_PROJECT_KEY_FILE=/etc/hostname\n"
        "FLOWISE_TELEMETRY_ALLOW_HTTP=true\n"
    )
    settings = make_telemetry()._settings
    assert settings.passed_over == ("FLOWISE_TELEMETRY_ALLOW_HTTP", "FLOWISE_TELEMETRY_PROJECT_KEY_FILE")
    assert settings.endpoint == "http://theirs"
    with pytest.raises(ConfigurationError, match="in clear"):
        settings.gateway()
    (working_directory / ".env").write_text(
        "FLOWISE_TELEMETRY_ENDPOINT=https://theirs\nFLOWISE_TELEMETRY_PROJECT_KEY_FILE=/etc/hostname\n"
    )
    with pytest.raises(ConfigurationError, match="not set"):
        make_telemetry()._settings.gateway()


def test_the_key_is_in_no_repr_and_no_pickle(make_telemetry: MakeTelemetry, way: dict[str, Any]) -> None:
    telemetry = make_telemetry(**way, project_key="hush-hush")
    pickled = telemetry.__reduce__()
    for shown in (repr(telemetry._settings), repr(telemetry._settings.gateway()), repr(pickled)):
        assert "hush-hush" not in shown
        assert KEY not in shown


# -- processes --------------------------------------------------------------------------------------------------

APP = """
import os, stat, sys, time
from flowise_telemetry import Telemetry, ToolCreated
telemetry = Telemetry(app_version="3.0.1", first_run_notice=False)
def send(number):
    telemetry.send_telemetry(ToolCreated(tool_id=f"0e0f0a0b-1c2d-4e3f-8a9b-{number:012x}", tool_name="a_tool"))
"""


@pytest.fixture
def app_environ(gateway: GatewayServer, tmp_path: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in ("DO_NOT_TRACK", "PYTHONWARNINGS")}
    return kept | {
        "FLOWISE_TELEMETRY_ENDPOINT": gateway.url,
        "FLOWISE_TELEMETRY_PROJECT_KEY": KEY,
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "config"),
    }


def test_a_script_that_just_ends_has_sent_everything_and_so_have_its_children(
    gateway: GatewayServer, app_environ: dict[str, str], tmp_path: Path
) -> None:
    code = """
send(0)
assert telemetry.flush(30)
for child in range(2):
    if os.fork() == 0:
        for fd in map(int, os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else ()):
            try:
                is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
            except OSError:  # that of the list
                continue
            assert not is_socket, "a socket of the parent"
        for number in range(20):
            send(number)
        sys.exit()
for child in range(2):
    assert os.wait()[1] == 0
send(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", APP + code],
        stdin=subprocess.DEVNULL,
        env=app_environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    records = stored(gateway.broker)
    counts = Counter(record["streamId"] for record in records)
    assert sorted(counts.values()) == [2, 20, 20]
    assert len({record["eventId"] for record in records}) == 42


@pytest.mark.slow
def test_a_gateway_that_hangs_or_is_away_keeps_no_script_from_its_end(
    gateway: GatewayServer, app_environ: dict[str, str], tmp_path: Path
) -> None:
    released = threading.Event()

    def hang(request: Request) -> None:
        released.wait(120.0)
        request.reset()

    gateway.faults += [hang] * 10
    for endpoint in (gateway.url, "http://127.0.0.1:1"):
        done = subprocess.run(
            [sys.executable, "-c", APP + "send(0)\nprint(time.time())"],
            env=app_environ | {"FLOWISE_TELEMETRY_ENDPOINT": endpoint},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert time.time() - float(done.stdout) < LATE_SECONDS
        assert done.stderr.count("WARNING") == 1
    released.set()


@pytest.mark.slow
def test_a_sub_interpreter_delivers_and_does_not_abort(
    gateway: GatewayServer, app_environ: dict[str, str], tmp_path: Path
) -> None:
    sends = "for number in range(3):\n    send(number)\n    assert telemetry.flush(60)\n"
    done = subprocess.run(
        [sys.executable, "-c", f"HEAD, CODE = {APP!r}, {sends!r}\n{IN_A_SUB_INTERPRETER}"],
        env=app_environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [record["sequence"] for record in stored(gateway.broker)] == [0, 1, 2]


@pytest.mark.slow
def test_kills_lose_nothing_that_is_in_the_spool_or_was_sent(
    gateway: GatewayServer, app_environ: dict[str, str], tmp_path: Path
) -> None:
    """Processes are killed at moments that nobody chose; events are spooled in order, so that a loss shows as a gap."""
    code = """
for number in range(1_000_000):
    send(number)
    print(telemetry.stats().sent, flush=True)
    time.sleep(0.0002)
"""
    last = """
send(0)
assert telemetry.flush(60)
def files():
    return [name for name in os.listdir(sys.argv[1]) if name.endswith(".sqlite3")]
while len(files()) > 1 or telemetry.stats().buffered:
    time.sleep(0.01)
"""
    spool = str(tmp_path / "spool")
    environ = app_environ | {"FLOWISE_TELEMETRY_SPOOL_DIR": spool}
    dice = random.Random(int(os.environ.get("SEED", "17")))
    told = 0
    for number in range(12 if os.environ.get("CI") else 4):
        # Some answers are lost after the records were taken, some requests before.
        gateway.faults += [dice.choice([losing(gateway), say(500)]) for _ in range(number and dice.randrange(3))]
        with subprocess.Popen(
            [sys.executable, "-c", APP + code],
            env=environ,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as app:
            assert app.stdout is not None
            for _ in range(dice.randrange(1, 1_000)):
                told = max(told, int(app.stdout.readline()))
            while told == 0:  # the first one lives until it has sent something
                told = int(app.stdout.readline())
            app.send_signal(signal.SIGKILL)
    gateway.faults.clear()
    subprocess.run([sys.executable, "-c", APP + last, spool], env=environ, cwd=tmp_path, timeout=120, check=True)
    found: dict[str, set[int]] = {}
    records = stored(gateway.broker)
    for record in records:
        found.setdefault(record["streamId"], set()).add(record["sequence"])
    assert all(numbers == set(range(len(numbers))) for numbers in found.values())
    once = len({record["eventId"] for record in records})
    assert once == sum(map(len, found.values())) >= told > 0
