"""How far each source has come, in a small file for each of its partitions."""

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
    """One partition of a source as it is kept."""

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
        """What a document says."""
        return cls(**json.loads(document.data))

    @property
    def data(self) -> bytes:
        """As a document."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Step:
    """One partition that a batch moves: what is kept of it so far, and to where."""

    advance: Advance
    before: Document


class Progress:
    """The claims of one sink and the progress of all.

    A fence that is looked at before data is written and moved on after it. In a folder, locks keep a claim from coming
    between; on object storage a writer that is cut off in just this moment may still write what its successor writes,
    too.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._claims = Claims(storage.url)

    def claim(
        self, source: str, partitions: Iterable[TopicPartition], description: str
    ) -> Mapping[TopicPartition, int]:
        """Makes this sink the one that writes these partitions; says how far they are written."""
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
        """Whether the batch has offsets, all of partitions that this sink claimed."""
        return 0 < len(batch.offsets) == len(self._claims.advances(batch))

    def steps(self, batch: Batch) -> list[Step]:
        """What a batch will move. Raises ``FencedError`` where another has claimed since."""
        advances = self._claims.advances(batch)
        documents = self._storage.read([_path(batch.source, advance.partition) for advance in advances])
        steps = []
        for advance, document in zip(advances, documents, strict=True):
            if document is None or Kept.of(document).epoch != advance.epoch:
                raise self._claims.fenced(batch.source, advance.partition)
            steps.append(Step(advance, document))
        return steps

    def move(self, source: str, steps: Iterable[Step]) -> None:
        """Moves the partitions on. Raises ``FencedError``."""
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
            # Perhaps it was ourselves: a request whose answer was lost is made again.
            (document,) = self._storage.read([_path(source, at)])
            if document is None or Kept.of(document) != kept:
                raise self._claims.fenced(source, at)

    def sources(self) -> list[SourceProgress]:
        """How far each source has come."""
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
                self._claims.took(source, {partition: kept.epoch})
                return kept.next_offset
            (document,) = self._storage.read([path])
        raise SinkUnavailableError(f"{self._storage.url}: others claim {partition.topic}[{partition.partition}], too")


def _path(source: str, partition: TopicPartition) -> str:
    folder = hashlib.blake2b(source.encode(), digest_size=16).hexdigest()
    return f"{_FOLDER}/{folder}/{partition.topic}-{partition.partition}.json"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
