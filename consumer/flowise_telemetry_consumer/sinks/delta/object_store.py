"""A lake on object storage that speaks S3, or Azure's or Google's protocol."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError
from flowise_telemetry_consumer.sinks.delta.address import Place
from flowise_telemetry_consumer.sinks.delta.failures import failure_of, is_of_deltalake

__all__ = ["LOCK_SECONDS", "REQUEST_TIMEOUT_SECONDS", "ObjectStore"]

LOCK_SECONDS = 900.0
"""How long a lock is held after its holder was last heard of."""

REQUEST_TIMEOUT_SECONDS = 30.0
"""How long a request may take, and all its repetitions."""

_REQUESTS_AT_ONCE = 8
_CONNECT_TIMEOUT_SECONDS = 5
_RETRIES = 2
_LOCKS = "_flowise_telemetry/locks"

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class ObjectStore:
    """``Store`` in a bucket: a put is all or nothing and seen at once, and put-if-absent is a conditional put.

    A named lock is an object that expires.
    """

    def __init__(
        self, place: Place, *, lock_seconds: float = LOCK_SECONDS, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS
    ) -> None:
        # Asked for here, so that a missing extra is told when the sink is opened.
        import obstore
        from obstore.store import from_url

        self._obstore = obstore
        self._place = place
        self._lock_seconds = lock_seconds
        self._timeout_seconds = timeout_seconds
        self._held: dict[str, tuple[bytes, str, float]] = {}
        plain: Any = {name: value for name, value in place.options.items() if name != "aws_allow_http"}
        self._store: Any = from_url(
            place.root,
            config=plain,
            client_options={
                "allow_http": place.options.get("aws_allow_http") == "true",
                "timeout": timedelta(seconds=timeout_seconds),
                "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=timeout_seconds),
            },
        )

    @property
    def url(self) -> str:
        """The address; it holds no secret."""
        return self._place.url

    @property
    def options(self) -> Mapping[str, str]:
        """Endpoint, region and bounds; credentials are the environment's."""
        conditional = {"aws_conditional_put": "etag"} if self._place.kind == "s3" else {}
        return {
            **self._place.options,
            **conditional,
            "timeout": f"{self._timeout_seconds:g}s",
            "connect_timeout": f"{_CONNECT_TIMEOUT_SECONDS}s",
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{self._timeout_seconds:g}s",
        }

    def another(self) -> ObjectStore:
        """Return the same place with locks of its own."""
        return ObjectStore(self._place, lock_seconds=self._lock_seconds, timeout_seconds=self._timeout_seconds)

    def open(self) -> bool:
        """Do nothing: a bucket has no folders, and is made by whoever pays for it."""
        return False

    def require_root(self) -> None:
        """Raise the store's own error where there is no bucket."""
        next(iter(self._obstore.list(self._store, chunk_size=1)), None)

    def location(self, table: str) -> str:
        """Return the URI of a table."""
        return f"{self._place.root}/{table}"

    def tables(self) -> Sequence[str]:
        """Return the names of the tables: what stands before the first slash."""
        listed = self._obstore.list_with_delimiter(self._store)
        return [prefix.strip("/").rpartition("/")[2] for prefix in listed["common_prefixes"]]

    def data_files(self, table: str) -> set[str]:
        """Return the paths, from a table's root, of the objects that are there."""
        listed = (each for part in self._obstore.list(self._store, prefix=table) for each in part)
        return {each["path"].removeprefix(f"{table}/") for each in listed}

    def read(self, path: str) -> bytes | None:
        """Return an object's bytes; None where there is none."""
        try:
            return bytes(self._obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            return None

    def fetch(self, paths: Sequence[str]) -> list[bytes]:
        """Return the bytes of some objects, asked for some at a time."""
        return self._each(lambda path: bytes(self._obstore.get(self._store, path).bytes()), paths)

    def exists(self, path: str) -> bool:
        """Tell if there is such an object."""
        try:
            self._obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write objects, some at a time."""
        self._each(lambda file: self._obstore.put(self._store, file[0], file[1]), files)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object by a conditional put."""
        try:
            self._obstore.put(self._store, path, data, mode="create")
        except (self._obstore.exceptions.AlreadyExistsError, self._obstore.exceptions.PreconditionError):
            # Perhaps it was ourselves: a request whose answer was lost is made again.
            return self.read(path) == data
        return True

    def copy(self, files: Sequence[tuple[str, str]]) -> None:
        """Copy objects; their bytes do not pass through here."""
        self._each(lambda names: self._obstore.copy(self._store, names[0], names[1]), files)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects."""
        if paths:
            self._obstore.delete(self._store, list(paths))

    def sync(self, folder: str) -> None:
        """Do nothing: a put that was answered is safe."""

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame; only the wanted columns and row groups are fetched."""
        return pl.scan_parquet(
            [f"{self._place.root}/{path}" for path in paths],
            glob=False,
            hive_partitioning=False,
            extra_columns="ignore",
            storage_options=dict(self._place.options),
        )

    def lock(self, name: str) -> None:
        """Acquire a lock, an object that expires: a killed holder locks all others out for ``lock_seconds``.

        Acquired again by its holder, it is renewed when that is due.
        """
        path = f"{_LOCKS}/{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.json"
        if path in self._held:
            self.renew_locks()
            return
        there, version = self._read_lock(path)
        if there is None or json.loads(there)["expires_at_ms"] <= _now_ms():
            held = self._lock_document()
            version = self._replace(path, held, version)
            if version is not None:
                self._held[path] = held, version, time.monotonic()
                return
        raise SinkInUseError(
            f"{self.url}: another process has {name!r}: wait for it or stop it; "
            f"when it was killed, it is free {self._lock_seconds:g} s after its last write"
        )

    def renew_locks(self) -> None:
        """Renew the locks for which a third of their time is over."""
        for path, (_, version, since) in list(self._held.items()):
            if time.monotonic() - since < self._lock_seconds / 3:
                continue
            anew = self._lock_document()
            renewed = self._replace(path, anew, version)
            if renewed is None:
                del self._held[path]
                raise SinkInUseError(f"{self.url}: a lock has expired and another process has it now")
            self._held[path] = anew, renewed, time.monotonic()

    def release(self) -> None:
        """Release the named locks."""
        for path in list(self._held):
            document, _, _ = self._held.pop(path)
            # When it has expired it may be another's.
            if self.read(path) == document:
                self.delete([path])

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Tell what the storage refused. No text of its answers is repeated but the status: they can hold key ids."""
        try:
            yield
        except pl.exceptions.PolarsError as error:
            raise SinkError(
                f"{self.url} holds a file that cannot be read as its event: remove what is not ours"
            ) from error
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise failure_of(error, self.url, bucket=self._place.bucket) from error
        except Exception as error:
            if not is_of_deltalake(error):
                raise
            raise failure_of(error, self.url, bucket=self._place.bucket) from error

    def _each(self, call: Callable[[_Item], _Answer], items: Sequence[_Item]) -> list[_Answer]:
        if len(items) < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            return list(pool.map(call, items))

    def _read_lock(self, path: str) -> tuple[bytes | None, str | None]:
        try:
            got = self._obstore.get(self._store, path)
        except FileNotFoundError:
            return None, None
        return bytes(got.bytes()), got.meta["e_tag"] or ""

    def _replace(self, path: str, data: bytes, version: str | None) -> str | None:
        """Write an object where its version is still this one, or there is still none; return its new version."""
        told = self._obstore.exceptions
        mode: Any = "create" if version is None else {"e_tag": version}
        try:
            put = self._obstore.put(self._store, path, data, mode=mode)
        except (told.AlreadyExistsError, told.PreconditionError):
            return None
        return put["e_tag"] or ""

    def _lock_document(self) -> bytes:
        expires_at_ms = _now_ms() + round(self._lock_seconds * 1000)
        return json.dumps({"holder": secrets.token_hex(8), "expires_at_ms": expires_at_ms}).encode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
