"""One service for all workers of a run: the first starts it and stops it again once the others have left."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import portalocker

from tests.services.ladder import NoServiceError

__all__ = ["Shareable", "SharedService", "share"]

_LEAVE_TIMEOUT_SECONDS = 900
_LOOK_SECONDS = 0.05


class Shareable(Protocol):
    """A service that another process can use, given its address."""

    description: str
    used_by: set[str]
    """Ids of the tests that asked for its address; an empty one for what no test asked for."""

    @property
    def address(self) -> dict[str, Any]:
        """Where it is, as JSON."""
        ...

    def stop(self) -> None:
        """End it; nothing, where another process started it."""
        ...


S = TypeVar("S", bound=Shareable)


class SharedService(Generic[S]):
    """A service and why better ones could not be had."""

    def __init__(self, service: S, passed_over: list[str]) -> None:
        self.service = service
        self.passed_over = passed_over


@contextlib.contextmanager
def share(
    name: str, folder: Path, start: Callable[[], tuple[S, list[str]]], at: Callable[[dict[str, Any]], S]
) -> Iterator[SharedService[S]]:
    """Give the one service of all who use ``folder``: started here, or at the address that another process left there.

    Where none can be started, each of them raises the first one's ``NoServiceError``, without trying again. A user is
    one who holds a shared lock: when it is killed, the operating system lets go of it.
    """
    address = folder / f"{name}.json"
    with contextlib.ExitStack() as leaving:
        with _locked(folder / f"{name}.lock", portalocker.LockFlags.EXCLUSIVE):
            if address.exists():
                leaving.enter_context(_locked(folder / f"{name}.users", portalocker.LockFlags.SHARED))
                found = _found(json.loads(address.read_text()), at)
                leaving.callback(found.service.stop)
            else:
                found = _started(address, start)
                leaving.callback(_stop, found.service, folder, name)
        yield found


def _started(address: Path, start: Callable[[], tuple[S, list[str]]]) -> SharedService[S]:
    try:
        service, passed_over = start()
    except NoServiceError as error:
        address.write_text(json.dumps({"error": str(error)}))
        raise
    address.write_text(json.dumps({"address": service.address, "passed_over": passed_over}))
    return SharedService(service, passed_over)


def _found(left: dict[str, Any], at: Callable[[dict[str, Any]], S]) -> SharedService[S]:
    if "error" in left:
        raise NoServiceError(left["error"])
    return SharedService(at(left["address"]), left["passed_over"])


def _stop(service: Shareable, folder: Path, name: str) -> None:
    """Whoever comes from now on starts its own; those who are there are waited for."""
    with _locked(folder / f"{name}.lock", portalocker.LockFlags.EXCLUSIVE):
        (folder / f"{name}.json").unlink()
    end = time.monotonic() + _LEAVE_TIMEOUT_SECONDS
    while not _is_left(folder / f"{name}.users") and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    service.stop()


def _is_left(users: Path) -> bool:
    try:
        with _locked(users, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING):
            return True
    except portalocker.LockException:
        return False


@contextlib.contextmanager
def _locked(path: Path, flags: portalocker.LockFlags) -> Iterator[None]:
    with path.open("a") as file:
        portalocker.lock(file, flags)
        yield  # closing the file lets go of it
