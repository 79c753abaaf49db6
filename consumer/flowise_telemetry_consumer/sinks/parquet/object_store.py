"""A data set on object storage that speaks S3."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from flowise_telemetry_consumer.errors import SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.parquet.storage import Document, Replacement

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Config

__all__ = ["LOCK_SECONDS", "Bucket", "ObjectStore"]

LOCK_SECONDS = 900.0
"""Time after its holder's last renewal at which a lock expires."""

_REQUESTS_AT_ONCE = 8
_REQUEST_TIMEOUT_SECONDS = 30
_CONNECT_TIMEOUT_SECONDS = 5
_RETRIES = 2
_OWN = "_flowise_telemetry/"
_STATUS = re.compile(r"status code: (\d+ [A-Za-z ]+)")

_NOT_FOUND = 404
_NOT_ALLOWED = (401, 403)
_REFUSED = range(300, 500)
_BUSY = (408, 409, 423, 429)

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Place of the data set. Credentials come from the environment."""

    name: str
    prefix: str
    endpoint_url: str | None
    region: str

    @property
    def url(self) -> str:
        """The address; it holds no secret."""
        query = f"?endpoint_url={self.endpoint_url}" if self.endpoint_url else ""
        return f"parquet+s3://{self.name}/{self.prefix}{query}"


class ObjectStore:
    """``Storage`` in a bucket: a put is all or nothing, and listings show it at once (S3's strong consistency).

    Nothing keeps a writer and its successor apart in time, as locks do in a folder: the fence is checked before data is
    written, and advanced by a conditional write. A named lock is an object that expires.
    """

    def __init__(self, bucket: Bucket, *, lock_seconds: float = LOCK_SECONDS) -> None:
        # Imported here, so that a missing extra is reported when the sink is opened.
        import obstore
        from obstore.store import S3Store

        self._obstore = obstore
        self._bucket = bucket
        self._lock_seconds = lock_seconds
        self._held: dict[str, tuple[Document, float]] = {}
        allow_http = bool(bucket.endpoint_url and bucket.endpoint_url.startswith("http://"))
        config: S3Config = {"region": bucket.region}
        if bucket.endpoint_url:
            config["endpoint"] = bucket.endpoint_url
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix,
            config=config,
            client_options={
                "allow_http": allow_http,
                "timeout": timedelta(seconds=_REQUEST_TIMEOUT_SECONDS),
                "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_REQUEST_TIMEOUT_SECONDS),
            },
        )
        self._polars_options = {
            "aws_region": bucket.region,
            "aws_allow_http": str(allow_http).lower(),
            **({"aws_endpoint_url": bucket.endpoint_url} if bucket.endpoint_url else {}),
        }

    @property
    def url(self) -> str:
        """The address; it holds no secret."""
        return self._bucket.url

    def open(self) -> bool:
        """Return False: a bucket is created by its owner and has no folders."""
        return False

    def list_files(self, folder: str = "") -> list[str]:
        """Return the paths of all objects below a prefix; of the root, without those in ``_flowise_telemetry``."""
        pages = self._obstore.list(self._store, prefix=folder or None)
        return [found["path"] for page in pages for found in page if folder or not found["path"].startswith(_OWN)]

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write objects, some at a time."""
        self._each(lambda file: self._obstore.put(self._store, file[0], file[1]), files)

    def read(self, paths: Sequence[str]) -> list[Document | None]:
        """Return small objects; None for one that does not exist."""
        return self._each(self._read, paths)

    def replace(self, files: Sequence[Replacement]) -> list[bool]:
        """Write objects, each where its version is still that of ``before``, or where there is still none."""
        return [document is not None for document in self._each(self._replaced, files)]

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects."""
        if paths:
            self._obstore.delete(self._store, list(paths))

    def scan(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Return data files as one lazy frame, which fetches only the wanted columns and row groups."""
        root = f"s3://{self._bucket.name}/{self._bucket.prefix}".rstrip("/")
        return pl.scan_parquet(
            [f"{root}/{path}" for path in paths],
            glob=False,
            hive_partitioning=False,
            extra_columns="ignore",
            storage_options=self._polars_options,
        )

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """Exclude nobody; renew the locks that are held."""
        self._renew_locks()
        yield

    def claiming(self) -> contextlib.AbstractContextManager[None]:
        """Exclude nobody."""
        return contextlib.nullcontext()

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Exclude nobody."""
        return contextlib.nullcontext()

    def exchanging(self) -> contextlib.AbstractContextManager[None]:
        """Exclude nobody; renew the locks that are held."""
        return self.publishing()

    def lock(self, name: str) -> None:
        """Acquire a lock, an object that expires: after a kill, everyone is locked out for ``lock_seconds``.

        Acquiring it again renews it when that is due.
        """
        path = f"{_OWN}locks/{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}.json"
        if path in self._held:
            self._renew_locks()
            return
        (there,) = self.read([path])
        if there is None or json.loads(there.data)["expires_at_ms"] <= _now_ms():
            held = self._replaced(Replacement(path, self._lock_document(), there))
            if held is not None:
                self._held[path] = held, time.monotonic()
                return
        raise SinkInUseError(
            f"{self.url}: another process has {name!r}: wait for it or stop it; "
            f"when it was killed, it is free {self._lock_seconds:g} s after its last write"
        )

    def release(self) -> None:
        """Release the named locks."""
        for path in list(self._held):
            self._release_one(path)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a named lock inside the context."""
        before = set(self._held)
        self.lock(name)
        try:
            yield
        finally:
            for path in set(self._held) - before:
                self._release_one(path)

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Translate errors. Of the store's answers only the status is repeated: their text can hold key ids."""
        try:
            yield
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise self._translate(error) from error
        except pl.exceptions.PolarsError as error:
            raise SinkError(
                f"{self.url} holds a file that cannot be read as its event: remove what is not ours"
            ) from error

    def _translate(self, error: Exception) -> SinkError:
        # The classes say less than the HTTP status, which stands only in the text.
        found = _STATUS.search(str(error))
        status = found[1] if found else type(error).__name__
        code = int(found[1][:3]) if found else 0
        if code == _NOT_FOUND or isinstance(error, FileNotFoundError):
            return SinkError(f"{self.url} cannot be opened: there is no bucket {self._bucket.name}")
        if code in _NOT_ALLOWED:
            return SinkError(
                f"{self.url} refused the credentials ({status}): they are those of the environment (AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY) or of the machine; they must allow to list the bucket, get, put and delete"
            )
        if code in _REFUSED and code not in _BUSY:
            return SinkError(f"{self.url} refused ({status}): are endpoint_url and region right?")
        return SinkUnavailableError(f"{self.url} cannot be used: {status}")

    def _each(self, call: Callable[[_Item], _Answer], items: Sequence[_Item]) -> list[_Answer]:
        if len(items) < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            return list(pool.map(call, items))

    def _read(self, path: str) -> Document | None:
        try:
            got = self._obstore.get(self._store, path)
        except FileNotFoundError:
            return None
        return Document(bytes(got.bytes()), version=got.meta["e_tag"] or "")

    def _replaced(self, file: Replacement) -> Document | None:
        errors = self._obstore.exceptions
        mode: PutMode = "create" if file.before is None else {"e_tag": file.before.version}
        try:
            put = self._obstore.put(self._store, file.path, file.data, mode=mode)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            return None
        return Document(file.data, version=put["e_tag"] or "")

    def _lock_document(self) -> bytes:
        expires_at_ms = _now_ms() + round(self._lock_seconds * 1000)
        return json.dumps({"holder": secrets.token_hex(8), "expires_at_ms": expires_at_ms}).encode()

    def _renew_locks(self) -> None:
        for path, (document, since) in list(self._held.items()):
            if time.monotonic() - since < self._lock_seconds / 3:
                continue
            renewed = self._replaced(Replacement(path, self._lock_document(), document))
            if renewed is None:
                del self._held[path]
                raise SinkInUseError(f"{self.url}: a lock has expired and another process has it now")
            self._held[path] = renewed, time.monotonic()

    def _release_one(self, path: str) -> None:
        document, _ = self._held.pop(path)
        # An expired lock may be another's by now.
        if self.read([path]) == [document]:
            self.delete([path])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
