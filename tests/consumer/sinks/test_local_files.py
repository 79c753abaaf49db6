"""Named locks on files: what the library that takes them has to keep."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import portalocker
import pytest

from flowise_telemetry_consumer.errors import SinkDeniedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.local_files import FileLocks, os_failure
from tests.consumer.sinks.writer_process import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def locks(path: Path) -> FileLocks:
    return FileLocks(path, url=f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, SinkDeniedError),
        (errno.EROFS, SinkDeniedError),
        (errno.ENOSPC, SinkUnavailableError),
        (errno.EMFILE, SinkUnavailableError),
        (errno.EISDIR, SinkError),
    ],
)
def test_what_waiting_helps_is_told_from_what_an_owner_mends(number: int, kind: type[SinkError]) -> None:
    failure = os_failure(OSError(number, os.strerror(number)), "jsonl:///x")
    assert type(failure) is kind
    assert failure.message == f"jsonl:///x cannot be used: {os.strerror(number)}"


def test_the_file_of_a_lock_is_there_while_it_is_held(path: Path) -> None:
    held = locks(path)
    held.take("replay/0123456789ab")
    held.take("x" * 300)
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == [
        f"events.db.{hashlib.sha256(b'x' * 300).hexdigest()}.lock",
        "events.db.replay%2F0123456789ab.lock",
    ]
    held.release()
    held.release()
    assert list(path.parent.iterdir()) == []


def test_the_file_that_a_killed_process_left_is_no_lock(path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from flowise_telemetry_consumer.sinks.local_files import FileLocks
locks = FileLocks(Path({str(path)!r}), url="")
locks.take("replay")
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("events.db.replay.lock").exists()
    held = locks(path)
    held.take("replay")
    with pytest.raises(SinkInUseError):
        locks(path).take("replay")
    held.release()


def test_of_many_threads_one_at_a_time_has_a_lock(path: Path) -> None:
    inside, most, failures = 0, 0, []

    def work() -> None:
        nonlocal inside, most
        mine, rounds = locks(path), 0
        while rounds < 50:
            try:
                mine.take("replay")
            except SinkInUseError:
                continue
            except BaseException as error:
                failures.append(error)
                raise
            inside += 1
            most = max(most, inside)
            rounds += 1
            inside -= 1
            mine.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (failures, most) == ([], 1)
    assert list(path.parent.iterdir()) == []


def test_a_place_where_nothing_can_be_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SinkError, match=r"the lock .*missing.* cannot be acquired: No such file or directory"):
        locks(path.parent / "missing" / "events.db").take("replay")

    def refuse(_file: object, _flags: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(portalocker.portalocker, "LOCKER", refuse)
    with pytest.raises(SinkError, match=r"cannot be acquired: .*No locks available") as caught:
        locks(path).take("replay")
    assert not isinstance(caught.value, SinkInUseError)
