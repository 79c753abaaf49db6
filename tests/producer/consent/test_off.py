"""Off means off: no thread, no socket, no file, no Kafka client. Seen from outside with strace, and from inside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import os, sys, json, threading
if WHEN == "before import":
    os.environ.update(OFF)
made = []
if AUDIT:
    def look(event, arguments):
        if event in ("socket.__new__", "socket.connect", "sqlite3.connect", "os.mkdir", "subprocess.Popen"):
            made.append(event)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            made.append(f"open {arguments[0]}")
    sys.addaudithook(look)
from flowise_telemetry import Telemetry, ToolCreated
if WHEN == "after import":
    os.environ.update(OFF)
read, write = os.pipe()
files = set(os.listdir("/proc/self/fd"))
telemetry = Telemetry(app_version="3.0.1", **ARGUMENTS)
if WHEN == "after start":
    os.environ.update(OFF)

connecting = threading.Event()
if ON:
    sys.addaudithook(lambda event, _: connecting.set() if event == "socket.connect" else None)

def app():
    for _ in range(100):
        telemetry.send_telemetry(ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name="a_tool"))
    if ON:
        assert connecting.wait(30)
    return {
        "made": made,
        "threads": threading.active_count() - 1,
        "files": sorted(set(os.listdir("/proc/self/fd")) - files),
        "modules": sorted(m for m in sys.modules if m.partition(".")[0] in
                          ("kafka", "confluent_kafka", "sqlite3", "ssl", "http") or ".gateway" in m),
    }

child = os.fork()
if child == 0:
    os.write(write, json.dumps(app()).encode())
    telemetry.close(timeout_seconds=0.5)
    os._exit(0)
os.waitpid(child, 0)
found = [json.loads(os.read(read, 65536))]
found.append(app())
telemetry.flush(0.2)
telemetry.close(timeout_seconds=0.5)
print(json.dumps(found))
"""

GATEWAY: dict[str, object] = {"endpoint": "http://127.0.0.1:1", "project_key": "a-key"}
WAYS: dict[str, tuple[str, dict[str, str], dict[str, object], bool]] = {
    "environment, set before import": ("before import", {"DISABLE_FLOWISE_TELEMETRY": "true"}, {}, False),
    "environment, set after import": ("after import", {"DISABLE_FLOWISE_TELEMETRY": "true"}, {}, False),
    "environment, set after start": ("after start", {"DISABLE_FLOWISE_TELEMETRY": "true"}, {}, False),
    "DO_NOT_TRACK": ("before import", {"DO_NOT_TRACK": "1"}, {}, False),
    ".env": (".env", {}, {}, False),
    "stored choice": ("stored", {}, {}, False),
    "argument": ("argument", {}, {"enabled": False}, False),
    "environment, where a gateway is named": ("before import", {"DISABLE_FLOWISE_TELEMETRY": "true"}, GATEWAY, False),
    "argument, where a gateway is named": ("argument", {}, GATEWAY | {"enabled": False}, False),
    "on": ("on", {}, {}, True),
    "on, with a gateway": ("on", {}, GATEWAY, True),
}
ON = ("on", "on, with a gateway")


def run_app(way: str, folder: Path, *, audit: bool, before: tuple[str, ...] = ()) -> list[dict[str, object]]:
    when, off, arguments, on = WAYS[way]
    (folder / "app").mkdir(exist_ok=True)
    if way == ".env":
        (folder / "app" / ".env").write_text("DISABLE_FLOWISE_TELEMETRY=true\n")
    if way == "stored choice":
        (folder / "config").mkdir()
        (folder / "config" / "choice").write_text("disabled\n")
    head = f"WHEN, OFF, ARGUMENTS, ON, AUDIT = {when!r}, {off!r}, {arguments!r}, {on!r}, {audit!r}\n"
    environ = {name: value for name, value in os.environ.items() if name not in ("DO_NOT_TRACK", "PYTHONWARNINGS")}
    environ |= {
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "FLOWISE_TELEMETRY_SPOOL_DIR": str(folder / "spool"),
        "FLOWISE_TELEMETRY_LOG": str(folder / "ledger"),
        "FLOWISE_TELEMETRY_CONFIG_DIR": str(folder / "config"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = subprocess.run(
        [*before, sys.executable, "-c", head + APP],
        cwd=folder / "app",
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    if way not in ON:  # where it is on, no broker answers, which is said once
        assert run.stderr == ""
    found: list[dict[str, object]] = json.loads(run.stdout)
    return found


def left_behind(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - {
        "app",
        "app/.env",
        "config",
        "config/choice",
        "trace",
    }


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ON])
def test_off_makes_nothing_as_seen_from_inside(way: str, tmp_path: Path) -> None:
    nothing = {"made": [], "threads": 0, "files": [], "modules": []}
    assert run_app(way, tmp_path, audit=True) == [nothing, nothing]
    assert left_behind(tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize(("way", "client"), [("on", "kafka"), ("on, with a gateway", "http")])
def test_the_look_from_inside_would_see_it(way: str, client: str, tmp_path: Path) -> None:
    child, parent = run_app(way, tmp_path, audit=True)
    for found in (child, parent):
        assert found["threads"]
        assert client in str(found["modules"])
        assert "socket" in str(found["made"])
    assert "instance-secret" in str(child["made"])  # the parent came later, and read it
    assert "config/instance-secret" in left_behind(tmp_path)


def traced(way: str, folder: Path) -> list[str]:
    """The system calls, of all threads and children, that off must not make."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = (
        "clone,clone3,fork,vfork,socket,connect,openat,open,creat,mkdir,mkdirat,rename,renameat2,link,unlink,unlinkat"
    )
    trace = folder / "trace"
    run_app(way, folder, audit=False, before=(strace, "-f", "-o", str(trace), "-e", f"trace={calls}"))
    suspects = []
    for line in trace.read_text().splitlines():
        opened = re.search(r'open(?:at)?\(.*?"([^"]*)"', line)
        if opened:
            writes = any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
            client = re.search(
                r"(?<!/flowise_telemetry_transport)/(kafka|confluent_kafka|librdkafka)\b", opened.group(1)
            )
            if client or (writes and opened.group(1) not in ("/dev/null", "/dev/tty")):
                suspects.append(line)
        elif re.search(r"\bv?fork\(|clone3?\(", line):
            if "CLONE_THREAD" in line:
                suspects.append(line)
        elif re.search(r"\b(socket|connect|creat|mkdir|mkdirat|rename|renameat2|link|unlink|unlinkat)\(", line):
            suspects.append(line)
    return suspects


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ON])
def test_off_makes_nothing_as_seen_by_strace(way: str, tmp_path: Path) -> None:
    assert traced(way, tmp_path) == []


@pytest.mark.slow
def test_strace_would_see_it(tmp_path: Path) -> None:
    suspects = "\n".join(traced("on", tmp_path))
    for trace_of in ("CLONE_THREAD", "socket(", "instance-secret", "/kafka"):
        assert trace_of in suspects
