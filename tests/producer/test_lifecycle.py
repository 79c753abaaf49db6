"""Processes that fork, end, are ended, and end while the broker is away."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.producer.app_process import (
    CLIENTS,
    CONNECTED,
    HEAD,
    LATE_SECONDS,
    SAID_ONCE,
    RunApp,
    Topic,
    assert_quiet,
    assert_said_once,
    assert_silent,
)

pytestmark = pytest.mark.slow  # processes that end in every way there is

# -- the end of a process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
def test_a_script_that_just_ends_has_sent_everything(run_app: RunApp, topic: Topic, client: str) -> None:
    code = """
for n in range(499):
    telemetry.send_telemetry(event(n))
"""
    assert_silent(run_app(CONNECTED + code, **topic.environ, FLOWISE_TELEMETRY_CLIENT=client))
    topic.assert_streams(500)


IN_A_SUB_INTERPRETER = """
import importlib, sys
newer = sys.version_info >= (3, 13)
interpreters = importlib.import_module("_interpreters" if newer else "_xxsubinterpreters")
inner = interpreters.create("legacy") if newer else interpreters.create(isolated=False)
failed = interpreters.run_string(inner, f"import sys; sys.path[:] = {sys.path!r}\\n" + HEAD + CODE)
assert failed is None, failed
"""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("ending", ["not closed", "closed, broker away"])
def test_a_sub_interpreter_does_not_abort_the_process(run_app: RunApp, topic: Topic, client: str, ending: str) -> None:
    code = "for n in range(3):\n    telemetry.send_telemetry(event(n))\n    assert telemetry.flush(60)\n"
    environ = {**topic.environ, "FLOWISE_TELEMETRY_CLIENT": client}
    if "away" in ending:
        code = "telemetry.send_telemetry(event())\ntelemetry.close(timeout_seconds=1)\n"
        environ["FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    done = run_app(f"HEAD, CODE = {HEAD!r}, {code!r}\n" + IN_A_SUB_INTERPRETER, **environ)
    assert (done.returncode, "Fatal" in done.stderr) == (0, False), done.stderr
    if "away" not in ending:
        topic.assert_streams(3)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_script_that_ends_while_the_client_is_imported_slowly_has_sent_everything(
    run_app: RunApp, topic: Topic, client: str
) -> None:
    code = """
class Slow:  # as on a busy machine, or from a disk that was not read yet
    def find_spec(self, name, *_):
        if name in ("kafka.producer", "confluent_kafka"):
            time.sleep(5.5)
sys.meta_path.insert(0, Slow())
telemetry.send_telemetry(event())
wait_until(lambda: telemetry._worker._sender is not None)
"""
    assert_silent(run_app(code, **topic.environ, FLOWISE_TELEMETRY_CLIENT=client))
    topic.assert_streams(1)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", ["127.0.0.1:1", "10.255.255.1:9092", "no-such-host.invalid:9092"])
def test_with_the_broker_away_a_script_ends_in_a_second_and_says_so_once(
    run_app: RunApp, client: str, server: str
) -> None:
    code = "telemetry.send_telemetry(event())\nsys.stdout.write(str(time.time()))"
    done = run_app(code, FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=server, FLOWISE_TELEMETRY_CLIENT=client)
    ended = time.time()
    assert done.returncode == 0
    assert SAID_ONCE.fullmatch(done.stderr)
    assert ended - float(done.stdout) < LATE_SECONDS


def test_a_setting_that_is_wrong_is_said_once_and_delays_nothing(run_app: RunApp) -> None:
    done = run_app("telemetry.send_telemetry(event())", FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS="https://nonsense")
    assert_said_once(done)


def test_an_exception_that_ends_the_app_ends_it_as_before(run_app: RunApp, topic: Topic) -> None:
    done = run_app(CONNECTED + "telemetry.send_telemetry(event())\nraise SystemExit(3)", **topic.environ)
    assert (done.returncode, done.stderr) == (3, "")
    topic.assert_streams(2)


def test_sending_while_the_interpreter_ends_is_harmless(run_app: RunApp, topic: Topic) -> None:
    code = """
import atexit
class Late:
    def __del__(self):
        telemetry.send_telemetry(event())
late = Late()
atexit.register(lambda: telemetry.send_telemetry(event()))
telemetry.send_telemetry(event())
"""
    assert_silent(run_app(code, **topic.environ))


def test_a_thread_that_goes_on_sending_at_the_end_is_harmless(run_app: RunApp, topic: Topic) -> None:
    code = """
def work():
    while True:
        telemetry.send_telemetry(event())
threading.Thread(target=work, daemon=True).start()
wait_until(lambda: telemetry.stats().sent > 100)
"""
    assert_quiet(run_app(code, **topic.environ))


# -- signals --------------------------------------------------------------------------------------------------------

SIGNALLED = "telemetry.send_telemetry(event())\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"


def test_sigterm_ends_the_process_as_without_telemetry(run_app: RunApp) -> None:
    assert run_app(SIGNALLED).returncode == -signal.SIGTERM


def test_flush_on_sigterm_delivers_and_ends_with_the_same_status(run_app: RunApp, topic: Topic) -> None:
    code = 'telemetry = Telemetry(app_version="3.0.1", flush_on_sigterm=True)\n' + CONNECTED + SIGNALLED
    done = run_app(code, **topic.environ)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    topic.assert_streams(2)


def test_flush_on_sigterm_leaves_the_apps_own_handler_alone(run_app: RunApp) -> None:
    code = (
        """
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
telemetry = Telemetry(app_version="3.0.1", flush_on_sigterm=True)
"""
        + SIGNALLED
    )
    assert run_app(code).returncode == 7


def test_an_app_that_handles_sigterm_by_ending_has_sent_everything(run_app: RunApp, topic: Topic) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + CONNECTED + SIGNALLED
    assert_silent(run_app(code, **topic.environ))
    topic.assert_streams(2)


def test_a_signal_handler_may_send_in_the_middle_of_a_send(run_app: RunApp) -> None:
    code = """
signal.signal(signal.SIGALRM, lambda *_: telemetry.send_telemetry(event()))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for n in range(20_000):
    telemetry.send_telemetry(event(n))
signal.setitimer(signal.ITIMER_REAL, 0)
stats = telemetry.stats()
assert stats.accepted + stats.refused > 20_000
"""
    assert_quiet(run_app(code))


# -- forks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("moment", ["before the first send", "while sending", "after a flush"])
def test_a_child_sends_its_own_and_the_parents_are_sent_once(
    run_app: RunApp, topic: Topic, client: str, moment: str
) -> None:
    # posthog-python#290: forked workers sent nothing.
    code = (
        {
            "before the first send": "",
            "while sending": "for n in range(100): telemetry.send_telemetry(event(n))\n",
            "after a flush": "for n in range(100): telemetry.send_telemetry(event(n))\nassert telemetry.flush(60)\n",
        }[moment]
        + """
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for n in range(50):
            telemetry.send_telemetry(event(n))
        assert telemetry.stats().accepted == 50
        telemetry.close(timeout_seconds=60)
        sys.exit(0)
    children.append(pid)
for n in range(100):
    telemetry.send_telemetry(event(n))
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
telemetry.close(timeout_seconds=60)
assert telemetry.stats().dropped == {}, telemetry.stats()
"""
    )
    done = run_app(code, **topic.environ, FLOWISE_TELEMETRY_CLIENT=client)
    assert_silent(done)
    topic.assert_streams(100 if moment == "before the first send" else 200, 50, 50, 50)


def test_a_fork_waits_for_a_client_that_connects_but_not_for_ever(run_app: RunApp) -> None:
    # glibc's getaddrinfo has a lock that a fork in the middle of a look-up leaves held in the child.
    code = """
from flowise_telemetry import lifecycle
def fork_seconds():
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    forked = time.monotonic() - started
    os.waitpid(pid, 0)
    return forked
lifecycle.connecting("one")
answer = threading.Timer(0.2, lifecycle.connected, ["one"])
answer.start()
fork_seconds()
assert not answer.is_alive() or answer.finished.is_set()
lifecycle.connecting("never")
first = fork_seconds()
assert 0.8 < first < 10
assert min(fork_seconds() for _ in range(5)) < first / 2  # the later ones do not wait
"""
    assert_silent(run_app(code))


def test_children_of_multiprocessing_send_at_their_end(run_app: RunApp, topic: Topic) -> None:
    code = """
import multiprocessing
def work(number):
    for n in range(40):
        telemetry.send_telemetry(event(n))
    assert telemetry.flush(60)  # so that the second at the end is not spent on connecting
    for n in range(10):
        telemetry.send_telemetry(event(n))
context = multiprocessing.get_context("fork")
telemetry.send_telemetry(event())
processes = [context.Process(target=work, args=(n,)) for n in range(3)]
for process in processes:
    process.start()
for process in processes:
    process.join()
    assert process.exitcode == 0
"""
    assert_silent(run_app(code, **topic.environ))
    topic.assert_streams(1, 50, 50, 50)


def test_workers_of_a_preloaded_server_send_until_they_are_told_to_end(run_app: RunApp, topic: Topic) -> None:
    # As gunicorn --preload does it: the app is made in the master, the workers fork, SIGTERM ends them through
    # sys.exit.
    code = """
telemetry.send_telemetry(event())
workers = []
read, write = os.pipe()
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        for n in range(10):
            telemetry.send_telemetry(event(n))
        assert telemetry.flush(60)  # so that the second at the end is not spent on connecting
        for n in range(10):
            telemetry.send_telemetry(event(n))
        os.write(write, b"1")
        while True:
            signal.pause()
    workers.append(pid)
for _ in workers:
    os.read(read, 1)
for pid in workers:
    os.kill(pid, signal.SIGTERM)
for pid in workers:
    assert os.waitpid(pid, 0)[1] == 0
"""
    assert_silent(run_app(code, **topic.environ))
    topic.assert_streams(1, 20, 20)


def test_a_child_with_the_broker_away_ends_in_its_second(run_app: RunApp) -> None:
    code = """
telemetry.send_telemetry(event())
wait_until(lambda: {"kafka.producer", "confluent_kafka"} & set(sys.modules))  # the fork waits until it is loaded
pid = os.fork()
telemetry.send_telemetry(event())
if pid == 0:
    sys.exit(0)
started = time.monotonic()
assert os.waitpid(pid, 0)[1] == 0
assert time.monotonic() - started < 15, time.monotonic() - started
"""
    for client in CLIENTS:
        assert_quiet(run_app(code, FLOWISE_TELEMETRY_CLIENT=client), processes=2)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_fork_in_the_middle_of_sends_never_hangs(run_app: RunApp, client: str) -> None:
    code = """
stop = threading.Event()
def work():
    while not stop.is_set():
        telemetry.send_telemetry(event())
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        for n in range(5):
            telemetry.send_telemetry(event(n))
        assert telemetry.stats().accepted == 5
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
"""
    # The line is that of the full queue in the parent, or of one child that forked before it was full.
    assert_quiet(run_app(code, FLOWISE_TELEMETRY_CLIENT=client), processes=41)


@pytest.mark.parametrize("importer", ["the app", "the sender"])
def test_a_fork_in_the_middle_of_an_import_never_hangs(run_app: RunApp, tmp_path: Path, importer: str) -> None:
    # The module's lock stays held in the child, which therefore imports nothing at the fork.
    slow = "import __main__\n__main__.imports.set()\n__main__.forked.wait(60)\nraise ImportError\n"
    (tmp_path / "ctypes.py").write_text(slow)
    code = """
imports, forked = threading.Event(), threading.Event()
assert "ctypes" not in sys.modules
sys.path.insert(0, os.getcwd())
if sys.argv[1:] == ["the app"]:
    threading.Thread(target=__import__, args=("ctypes",)).start()
else:
    telemetry.send_telemetry(event())
assert imports.wait(60)
from flowise_telemetry import lifecycle
lifecycle._FORK_WAIT_SECONDS = 0.01  # the import takes longer than a fork waits
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    telemetry.send_telemetry(event())
    assert telemetry.stats().accepted + telemetry.stats().dropped.get("closed", 0) == 1
    os._exit(0)
forked.set()
assert os.waitpid(pid, 0)[1] == 0
"""
    done = run_app(code, importer)
    assert (done.returncode, done.stdout) == (0, "")


def app_events(file: Path) -> int:
    """How many events of the app, and not of the producer itself, a spool file has."""
    with closing(sqlite3.connect(file)) as database:
        query = "SELECT count(*) FROM event WHERE event != 'stream_state'"
        return int(database.execute(query).fetchone()[0])


def test_parent_and_child_each_have_a_spool_file(run_app: RunApp, topic: Topic, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    code = """
for n in range(30):
    telemetry.send_telemetry(event(n))
wait_until(lambda: telemetry.stats().spooled == 30)
pid = os.fork()
for n in range(20):
    telemetry.send_telemetry(event(n))
wait_until(lambda: telemetry.stats().spooled == (20 if pid == 0 else 50))
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    assert_quiet(run_app(code, FLOWISE_TELEMETRY_SPOOL_DIR=str(spool)), processes=2)
    # On a busy machine an end that is forced leaves the stream's counts in a file of their own.
    assert sorted(filter(None, map(app_events, spool.glob("*.sqlite3")))) == [20, 50]
    # The next start, with a broker there, sends what both left.
    again = """
wait_until(lambda: telemetry.stats().recovered == 70)
telemetry.close(timeout_seconds=60)
print(telemetry.stats().recovered)
"""
    done = run_app(again, **topic.environ, FLOWISE_TELEMETRY_SPOOL_DIR=str(spool))
    assert (done.stdout.strip(), done.stderr) == ("70", "")
    topic.assert_streams(50, 20)
    assert list(spool.iterdir()) == []


def test_a_thread_that_is_being_started_begins_before_the_end(run_app: RunApp) -> None:
    """One that begins once the interpreter is gone ends the process by a segmentation fault."""
    before = """
import atexit, threading, time
begun = []
atexit.register(lambda: print(len(begun)))
bootstrap = threading.Thread._bootstrap
def slowly(thread):
    time.sleep(0.2)
    begun.append(thread)
    bootstrap(thread)
"""
    code = """
threading.Thread._bootstrap = slowly
import _thread
_thread.start_new_thread(lambda: threading.Thread(target=int, daemon=True).start(), ())
while not threading._limbo:
    time.sleep(0.001)
"""
    done = run_app(code, before=before)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_several_objects_share_the_second_at_the_end(run_app: RunApp) -> None:
    code = """
from flowise_telemetry import lifecycle
class Slow:
    def _at_exit(self, budget_seconds):
        print(budget_seconds)
        time.sleep(budget_seconds)
objects = [Slow() for _ in range(3)]
for each in objects:
    lifecycle.register(each)
lifecycle.watch_end()
"""
    budgets = [float(line) for line in run_app(code).stdout.splitlines()]
    assert len(budgets) == 3
    assert 0.0 < sum(budgets) <= 1.0


def test_several_objects_with_the_broker_away_end_in_time(run_app: RunApp) -> None:
    code = """
others = [Telemetry(app_version="3.0.1") for _ in range(5)]
for each in [telemetry, *others]:
    each.send_telemetry(event())
sys.stdout.write(str(time.time()))
"""
    done = run_app(code, FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS="10.255.255.1:9092")
    assert time.time() - float(done.stdout) < LATE_SECONDS
    assert SAID_ONCE.fullmatch(done.stderr)


WORK = """
def work():
    telemetry.send_telemetry(event())
    assert telemetry.flush(60)
    telemetry.send_telemetry(event())
"""


@pytest.mark.parametrize("client", CLIENTS)
def test_the_first_events_are_on_disk_before_a_client_is_imported(
    run_app: RunApp, topic: Topic, tmp_path: Path, client: str
) -> None:
    environ = {
        **topic.environ,
        "FLOWISE_TELEMETRY_CLIENT": client,
        "FLOWISE_TELEMETRY_SPOOL_DIR": str(tmp_path / "spool"),
    }
    code = """
class Killed:  # as the child of a pool that is terminated once it has returned its result
    def find_spec(self, name, *_):
        if name in ("kafka.producer", "confluent_kafka"):
            os.kill(os.getpid(), signal.SIGKILL)
sys.meta_path.insert(0, Killed())
for n in range(10):
    telemetry.send_telemetry(event(n))
time.sleep(60)
"""
    assert run_app(code, **environ).returncode == -signal.SIGKILL
    assert_silent(run_app("telemetry.send_telemetry(event())\nassert telemetry.flush(60)", **environ))
    topic.assert_streams(10, 1)


def test_spawned_processes_start_afresh(run_app: RunApp, topic: Topic, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(HEAD + WORK)
    code = """
import multiprocessing
sys.path.insert(0, os.getcwd())
import worker
process = multiprocessing.get_context("spawn").Process(target=worker.work)
process.start()
process.join()
assert process.exitcode == 0
"""
    assert_silent(run_app(code, **topic.environ))
    topic.assert_streams(2)


def test_stats_can_be_shown(run_app: RunApp) -> None:
    code = "import json, dataclasses\nprint(json.dumps({**telemetry.stats().dropped, 'sent': telemetry.stats().sent}))"
    assert json.loads(run_app(code).stdout) == {"sent": 0}
