"""Whether Docker can give us a container, found out quickly and without a traceback."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tests.services.ladder import RungUnavailableError, require_permission

__all__ = ["is_running", "quiet_testcontainers", "require_image", "started", "wait_until"]

ENGINE_TIMEOUT_SECONDS = 5
PULL_TIMEOUT_SECONDS = 300


@contextlib.contextmanager
def quiet_testcontainers() -> Iterator[None]:
    """testcontainers and docker warn of their own deprecations, which pytest would turn into errors of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require_image(name: str) -> None:
    """Returns when the engine runs and has the image, pulling it if need be; raises ``RungUnavailableError``."""
    require_permission("a container")
    client = _engine()
    _have(client, name)
    _prepare_reaper(client)


@cache
def _engine() -> Any:
    with quiet_testcontainers():
        try:
            import docker  # type: ignore[import-untyped]  # ships no types
            import testcontainers  # noqa: F401 # only whether it is there
        except ImportError as error:
            raise RungUnavailableError(f"{error.name} is not installed") from error
        failure = ""
        try:
            client = docker.from_env(timeout=ENGINE_TIMEOUT_SECONDS)
            client.ping()
        except Exception as error:
            failure = type(error).__name__
        if failure:
            # The failed client leaves its socket to the garbage collector: better here than as a warning in some test.
            gc.collect()
            raise RungUnavailableError(f"no Docker engine answers ({failure})")
        return client


def _have(client: Any, name: str) -> None:
    import docker

    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        _pull(name)


def _pull(name: str) -> None:
    import docker

    failures: list[Exception] = []

    def pull() -> None:
        try:
            docker.from_env(timeout=PULL_TIMEOUT_SECONDS).images.pull(name)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=pull, name=f"pull {name}", daemon=True)
    thread.start()
    thread.join(PULL_TIMEOUT_SECONDS)
    if thread.is_alive():
        raise RungUnavailableError(f"image {name} is not pulled after {PULL_TIMEOUT_SECONDS} s")
    if failures:
        raise RungUnavailableError(f"image {name} cannot be pulled ({type(failures[0]).__name__})")


def _prepare_reaper(client: Any) -> None:
    """Ryuk removes what a killed run leaves; without its image we do without, as the fixtures stop their own."""
    from testcontainers.core.config import testcontainers_config

    if testcontainers_config.ryuk_disabled:
        return
    try:
        _have(client, testcontainers_config.ryuk_image)
    except RungUnavailableError:
        testcontainers_config.ryuk_disabled = True


def started(container: Any, up: Callable[[], str]) -> tuple[str, Callable[[], None]]:
    """Starts the container; returns where it is, as ``up`` does once it is up, and how to stop it.

    Raises ``RungUnavailableError``.
    """

    def stop() -> None:
        with quiet_testcontainers():
            container.stop()

    try:
        container.start()
        where = up()
    except RungUnavailableError:
        stop()
        raise
    except Exception as error:
        stop()
        raise RungUnavailableError(f"the container did not start ({type(error).__name__}: {error})") from error
    return where, stop


def is_running(container: Any) -> bool:
    """Whether the engine still has it running."""
    container.reload()
    return bool(container.status == "running")


def wait_until(ready: Callable[[], bool], *, timeout_seconds: float, alive: Callable[[], bool], what: str) -> None:
    """Returns when ``ready``; raises ``RungUnavailableError`` when the time is up or it is no longer ``alive``."""
    end = time.monotonic() + timeout_seconds
    while not ready():
        if not alive():
            raise RungUnavailableError(f"{what} ended while it started")
        if time.monotonic() > end:
            raise RungUnavailableError(f"{what} is not up after {timeout_seconds:g} s")
        time.sleep(0.1)
