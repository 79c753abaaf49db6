"""What the apps did against what is there in the end: lost, doubled, altered, out of nowhere, miscounted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flowise_telemetry_consumer.loss import Outcome
from tests.chaos.numbered_events import expected_fields, number_of

__all__ = ["Acknowledged", "Ended", "Fault", "Found", "Sent", "Verdict", "check"]

_SHOWN = 5

Kind = Literal["lost", "doubled", "altered", "out of nowhere", "miscounted"]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A record that Kafka acknowledged: where it landed, and its fields as JSON."""

    partition: int
    offset: int
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream of an app that ended by itself, as the app counted: events offered, dropped, and left in its spool."""

    offered: int
    dropped: int
    spooled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What went in.

    ``offered`` are the numbers given to ``send_telemetry``, killed apps' included. ``acknowledged`` is by event id.
    ``ended`` is by stream id, of the apps that were not killed. ``junk`` are acknowledged values that are no events.
    ``expired_before`` are the first offsets that retention left, by partition: what lay before them may be gone.
    """

    offered: frozenset[int]
    acknowledged: Mapping[str, Acknowledged]
    ended: Mapping[str, Ended] = field(default_factory=dict)
    junk: frozenset[bytes] = frozenset()
    expired_before: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came out: the sink's rows as JSON, the values of the dead letters, what the sink says of each installation.

    ``loss`` is None where the sink was not asked for it.
    """

    rows: Sequence[Mapping[str, Any]]
    letters: Sequence[bytes] = ()
    loss: Mapping[str, Outcome] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise."""

    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The account of a trial; ``expired`` events were removed by retention before they were read."""

    offered: int
    acknowledged: int
    written: int
    dead: int
    expired: int
    faults: tuple[Fault, ...]

    def count(self, kind: Kind) -> int:
        """Return how many faults are of this kind."""
        return sum(fault.kind == kind for fault in self.faults)

    def lines(self) -> Iterator[str]:
        """Yield the first few faults of each kind."""
        for kind, count in Counter(fault.kind for fault in self.faults).items():
            shown = [fault.what for fault in self.faults if fault.kind == kind][:_SHOWN]
            yield f"{count} {kind}: {'; '.join(shown)}{'; …' if count > _SHOWN else ''}"


def check(sent: Sent, found: Found) -> Verdict:
    """Compare both sides. An event may be lost where nobody acknowledged it and its app was killed, else never."""
    expired = {
        identity
        for identity, landed in sent.acknowledged.items()
        if landed.offset < sent.expired_before.get(landed.partition, 0)
    } - {str(row["eventId"]) for row in found.rows}
    faults = [
        *_lost(sent, found, expired),
        *_doubled(found),
        *_altered(sent, found),
        *_out_of_nowhere(sent, found),
        *_miscounted(sent, found),
    ]
    return Verdict(
        len(sent.offered), len(sent.acknowledged), len(found.rows), len(set(found.letters)), len(expired), tuple(faults)
    )


def _lost(sent: Sent, found: Found, expired: set[str]) -> Iterator[Fault]:
    written = {str(row["eventId"]) for row in found.rows}
    for identity in sorted(sent.acknowledged.keys() - written - expired):
        landed = sent.acknowledged[identity]
        yield Fault("lost", f"event {identity}, acknowledged at [{landed.partition}] {landed.offset}")
    for value in sorted(sent.junk - set(found.letters)):
        yield Fault("lost", f"no dead letter of {value!r}")
    by_stream = Counter(str(row["streamId"]) for row in found.rows)
    gone = Counter(str(sent.acknowledged[identity].record["streamId"]) for identity in expired)
    for stream, ended in sent.ended.items():
        there = by_stream[stream] + ended.dropped + ended.spooled + gone[stream]
        if there < ended.offered:
            yield Fault("lost", f"{ended.offered - there} of {ended.offered} that stream {stream} accepted")


def _doubled(found: Found) -> Iterator[Fault]:
    for identity, times in Counter(str(row["eventId"]) for row in found.rows).items():
        if times > 1:
            yield Fault("doubled", f"event {identity}, {times} times")
    ids: dict[int | None, set[str]] = {}
    for row in found.rows:
        ids.setdefault(number_of(row), set()).add(str(row["eventId"]))
    for number, those in ids.items():
        if number is not None and len(those) > 1:
            yield Fault("doubled", f"number {number}, as {len(those)} events")


def _altered(sent: Sent, found: Found) -> Iterator[Fault]:
    for row in found.rows:
        number = number_of(row)
        if number is None:
            continue
        landed = sent.acknowledged.get(str(row["eventId"]))
        wanted = {**(landed.record if landed else {}), **expected_fields(number)}
        differ = sorted(name for name, value in wanted.items() if row.get(name) != value)
        if differ:
            yield Fault("altered", f"event {row['eventId']}, its {', '.join(differ)}")


def _out_of_nowhere(sent: Sent, found: Found) -> Iterator[Fault]:
    for row in found.rows:
        if number_of(row) not in sent.offered:
            yield Fault("out of nowhere", f"event {row['eventId']}")
    for value in sorted(set(found.letters) - sent.junk):
        yield Fault("out of nowhere", f"a dead letter of {len(value)} bytes")


def _miscounted(sent: Sent, found: Found) -> Iterator[Fault]:
    """What the sink says of an installation, none of whose processes was killed, is what happened to it."""
    if found.loss is None:
        return
    written = Counter(str(row["instanceId"]) for row in found.rows)
    for instance, streams in _installations(sent, found).items():
        if not streams <= sent.ended.keys():
            continue
        offered = sum(sent.ended[stream].offered for stream in streams)
        dropped = sum(sent.ended[stream].dropped for stream in streams)
        said = found.loss.get(instance)
        if said is None:
            yield Fault("miscounted", f"the sink has no count of installation {instance}")
            continue
        missing = offered - written[instance] - dropped + said.arrived_anyway
        true = (offered, written[instance], dropped, missing)
        told = (said.numbered, said.written, sum(said.dropped.values()), said.on_the_way + said.unexplained)
        if told != true:
            names = ("numbered", "written", "dropped", "missing")
            differ = [f"{name} {a} for {b}" for name, a, b in zip(names, told, true, strict=True) if a != b]
            yield Fault("miscounted", f"installation {instance}: {', '.join(differ)}")


def _installations(sent: Sent, found: Found) -> dict[str, set[str]]:
    """The streams of each installation that anything is known of."""
    streams: dict[str, set[str]] = {}
    for record in (*found.rows, *(landed.record for landed in sent.acknowledged.values())):
        streams.setdefault(str(record["instanceId"]), set()).add(str(record["streamId"]))
    return streams
