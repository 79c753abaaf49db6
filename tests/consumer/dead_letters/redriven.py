"""A consumer of an older release has left dead letters, which can be redriven."""

from __future__ import annotations

from flowise_telemetry_consumer import Consumer, ConsumerSettings, RedriveResult, list_dead_letters, redrive
from flowise_telemetry_consumer.dead_letters.letter_filter import LetterFilter
from flowise_telemetry_consumer.sinks.refusals import OnRefused
from flowise_telemetry_schemas import Catalog, catalog
from tests.consumer.world import DLQ, GROUP, TOPIC, MemorySink, SameThread, StopWhen, World

SETTINGS = ConsumerSettings(topic=TOPIC, group=GROUP)
OLD = Catalog(tuple(schema for schema in catalog() if schema.event != "tool_created"))
TOOLS = 10  # of 60 events in turn


class Redriven:
    """A world whose consumer did not know ``tool_created``, with one record that no schema will ever mend."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.world.send_good(60)
        self.world.send_bad()
        self.consume()
        self.sink = self.world.sink

    def consume(self) -> None:
        """The service of the older release reads all that there is."""
        reader = self.world.reader()
        Consumer(
            reader,
            self.world.sink,
            self.world.broker.open_writer(max_record_bytes=64 * 1_048_576),
            OLD,
            SETTINGS,
            clock=self.world.clock,
            sink_thread=SameThread(),
        ).run(StopWhen(self.world.all_committed))
        reader.close()

    def consume_as(self, group: str) -> MemorySink:
        """Another service of the older release, with a group and a sink of its own, reads all that there is."""
        reader, sink = self.world.reader(group), MemorySink()
        reader.before_commit = lambda offsets: None  # the world looks after the sink of its own group
        ends = reader.end_offsets(self.world.partitions)
        committed = self.world.broker.group(group).committed
        Consumer(
            reader,
            sink,
            self.world.broker.open_writer(),
            OLD,
            ConsumerSettings(topic=TOPIC, group=group),
            clock=self.world.clock,
            sink_thread=SameThread(),
        ).run(StopWhen(lambda: all(committed.get(tp, 0) >= end for tp, end in ends.items())))
        reader.close()
        return sink

    def run(
        self,
        schemas: Catalog | None = None,
        *,
        dry: bool = False,
        reasons: tuple[str, ...] = (),
        chosen: LetterFilter | None = None,
        group: str | None = None,
        new_sink: bool = False,
        max_letters: int | None = None,
        max_redrives: int = 5,
        sink: MemorySink | None = None,
        on_refused: OnRefused = "wait",
    ) -> RedriveResult:
        result = redrive(
            self.world.reader(None),
            None if dry else sink or self.sink,
            None if dry else self.world.broker.open_writer(),
            schemas or catalog(),
            DLQ,
            chosen=chosen or LetterFilter.of(catalog(), reasons=reasons),
            new_sink=new_sink,
            group=group,
            max_letters=max_letters,
            max_redrives=max_redrives,
            open_source=lambda: self.world.reader(None),
            control=self.world.control,
            on_refused=on_refused,
        )
        assert result.adds_up
        return result

    def listed(self) -> tuple[dict[str, int], int, int]:
        """Counts by reason, how many were redriven, how many letters repeat."""
        summary = list_dead_letters(self.world.reader(None), DLQ, control=self.world.control)
        assert summary.total == summary.by_reason.total()
        return dict(summary.by_reason), summary.redriven, summary.repeats
