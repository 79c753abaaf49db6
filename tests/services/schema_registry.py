"""The schema registry of the tests: a real one, with Confluent's API."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.services.docker_engine import is_running, quiet_testcontainers, require_image, started, wait_until
from tests.services.ladder import Rung, RungUnavailableError, climb, docker_is_required, require_permission
from tests.services.maven import SHORT_LIVED, fetched
from tests.services.ports import free_ports

__all__ = ["IMAGE", "SchemaRegistryService", "start_schema_registry"]

IMAGE = "apicurio/apicurio-registry:3.3.3"
_API = "/apis/ccompat/v7"
_PORT = 8080
_JAVA = 21
_START_TIMEOUT_SECONDS = 180
_STOP_TIMEOUT_SECONDS = 20
_POM = Path(__file__).parents[1] / "java" / "registry" / "pom.xml"


@dataclass(frozen=True, slots=True)
class SchemaRegistryService:
    """A registry, empty unless it was given; a test takes subjects of its own by a topic of its own."""

    description: str
    url: str
    stop: Callable[[], None] = lambda: None


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/subjects", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def _given() -> SchemaRegistryService:
    url = os.environ.get("SCHEMA_REGISTRY_URL", "")
    if not url:
        raise RungUnavailableError("SCHEMA_REGISTRY_URL is not set")
    return SchemaRegistryService(f"given {url.rpartition('@')[2]}", url)


def _testcontainers() -> SchemaRegistryService:
    require_image(IMAGE)
    with quiet_testcontainers():
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(IMAGE).with_exposed_ports(_PORT)

        def up() -> str:
            url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(_PORT)}{_API}"
            wait_until(
                lambda: _answers(url),
                timeout_seconds=_START_TIMEOUT_SECONDS,
                alive=lambda: is_running(container),
                what="the container of the registry",
            )
            return url

        url, stop = started(container, up)
    return SchemaRegistryService(f"testcontainers {IMAGE}", url, stop)


def _java_of_21() -> str:
    """The program, of JAVA_HOME or the path, if it is as new as the registry needs."""
    home = os.environ.get("JAVA_HOME", "")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java") or "java"
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except OSError:
        raise RungUnavailableError("java is not there") from None
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < _JAVA:
        raise RungUnavailableError(f"java is not of {_JAVA} or later: set JAVA_HOME to one that is")
    return program


def _java() -> SchemaRegistryService:
    java = _java_of_21()
    (archive,) = fetched(_POM, "apicurio-registry-3.3.3").glob("*.tar.gz")
    folder = Path(tempfile.mkdtemp(prefix="registry-"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    jar = next(folder.rglob("quarkus-run.jar"))
    with free_ports(2) as (port, management):
        pass
    options = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": port,
        "quarkus.management.port": management,
        "java.util.logging.manager": "org.jboss.logmanager.LogManager",
    }
    properties = [f"-D{name}={value}" for name, value in options.items()]
    with (folder / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            [java, *SHORT_LIVED, "-Xmx512m", *properties, "-jar", str(jar)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=jar.parent,
            start_new_session=True,  # a Ctrl-C for the tests is not for the registry
        )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    url = f"http://127.0.0.1:{port}{_API}"
    try:
        wait_until(
            lambda: _answers(url),
            timeout_seconds=_START_TIMEOUT_SECONDS,
            alive=lambda: process.poll() is None,
            what="the Java process of the registry",
        )
    except BaseException:
        stop()
        raise
    return SchemaRegistryService("plain Java process, Apicurio Registry 3.3.3", url, stop)


def start_schema_registry() -> tuple[SchemaRegistryService, list[str]]:
    """The first registry that this machine can give, and why those before it could not be had."""
    require_permission("a schema registry")
    rungs = [Rung("given", _given), Rung("testcontainers", _testcontainers), Rung("java", _java)]
    return climb("schema registry", rungs, required="testcontainers" if docker_is_required() else None)
