"""Progress of each source, in a small file per partition."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from flowise_telemetry_consumer.errors import SinkUnavailableError
from flowise_telemetry_consumer.sinks.claims import Advance, Claims, ProgressRow, sources_of
from flowise_telemetry_consumer.sinks.parquet.storage import Document, Replacement, Storage
from flowise_telemetry_consumer.sinks.port import Batch, SourceProgress
from flowise_telemetry_transport.types import TopicPartition

__all__ = ["Progress", "Step"]

_FOLDER = "_flowise_telemetry/progress"
_CLAIM_TRIES = 5


@dataclass(frozen=True, slots=True)
class Kept:
    """One partition of a source as stored."""

    source: str
    topic: str
    partition: int
    next_offset: int | None
    epoch: int
    description: str
    claimed_at_ms: int
    updated_at_ms: int

    @classmethod
    def of(cls, document: Document) -> Kept:
        """Parse a document."""
        return cls(**json.loads(document.data))

    @property
    def data(self) -> bytes:
        """Return the document."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Step:
    """One partition that a batch advances, and its document as read before."""

    advance: Advance
    before: Document


class Progress:
    """Claims of one sink and progress of all.

    The fence is checked before data is written and advanced after it. In a folder, locks keep a claim from coming
    between; on object storage a writer that is cut off at this very moment may still write what its successor writes
    as well.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._claims = Claims(storage.url)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], description: str
    ) -> Mapping[TopicPartition, int]:
        """Claim partitions; return how far they are written."""
        wanted = sorted(set(partitions))
        offsets: dict[TopicPartition, int] = {}
        with self._storage.claiming():
            paths = [_path(source, partition) for partition in wanted]
            for partition, path, document in zip(wanted, paths, self._storage.read(paths), strict=True):
                next_offset = self._take(source, partition, path, document, description)
                if next_offset is not None:
                    offsets[partition] = next_offset
        return offsets

    def is_claimed(self, batch: Batch) -> bool:
        """Return True where the batch has offsets, all of partitions that this sink claimed."""
        return 0 < len(batch.offsets) == len(self._claims.advances(batch))

    def steps(self, batch: Batch) -> list[Step]:
        """Return the partitions that a batch advances. Raises ``FencedError`` where another sink has claimed one."""
        advances = self._claims.advances(batch)
        documents = self._storage.read([_path(batch.source, advance.partition) for advance in advances])
        steps = []
        for advance, document in zip(advances, documents, strict=True):
            if document is None or Kept.of(document).epoch != advance.epoch:
                raise self._claims.fenced(batch.source, advance.partition)
            steps.append(Step(advance, document))
        return steps

    def move(self, source: str, steps: Iterable[Step]) -> None:
        """Advance partitions. Raises ``FencedError``."""
        now_ms = _now_ms()
        moved = {
            step.advance.partition: (
                step.before,
                replace(Kept.of(step.before), next_offset=step.advance.next_offset, updated_at_ms=now_ms),
            )
            for step in steps
        }
        files = [Replacement(_path(source, at), kept.data, before) for at, (before, kept) in moved.items()]
        for (at, (_, kept)), done in zip(moved.items(), self._storage.replace(files), strict=True):
            if done:
                continue
            # Perhaps it was us: the store's client repeats a request whose answer was lost.
            (document,) = self._storage.read([_path(source, at)])
            if document is None or Kept.of(document) != kept:
                raise self._claims.fenced(source, at)

    def sources(self) -> list[SourceProgress]:
        """Return the progress of each source."""
        rows = []
        for document in self._storage.read(self._storage.list_files(_FOLDER)):
            if document is None:
                continue
            kept = Kept.of(document)
            rows.append(
                ProgressRow(
                    kept.source,
                    TopicPartition(kept.topic, kept.partition),
                    kept.next_offset,
                    kept.description,
                    claimed_at_ms=kept.claimed_at_ms,
                    updated_at_ms=kept.updated_at_ms,
                )
            )
        return sources_of(rows)

    def _take(
        self, source: str, partition: TopicPartition, path: str, document: Document | None, description: str
    ) -> int | None:
        for _ in range(_CLAIM_TRIES):
            before = Kept.of(document) if document is not None else None
            now_ms = _now_ms()
            kept = Kept(
                source,
                *partition,
                next_offset=before.next_offset if before else None,
                epoch=before.epoch + 1 if before else 1,
                description=description,
                claimed_at_ms=now_ms,
                updated_at_ms=now_ms,
            )
            if self._storage.replace([Replacement(path, kept.data, document)]) == [True]:
                self._claims.record(source, {partition: kept.epoch})
                return kept.next_offset
            (document,) = self._storage.read([path])
        raise SinkUnavailableError(
            f"{self._storage.url}: others keep claiming {partition.topic}[{partition.partition}]"
        )


def _path(source: str, partition: TopicPartition) -> str:
    folder = hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
    return f"{_FOLDER}/{folder}/{partition.topic}-{partition.partition}.json"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
