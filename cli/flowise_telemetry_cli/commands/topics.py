"""``flowise-telemetry topics``: the topics that the pipeline uses."""

from __future__ import annotations

import click

from flowise_telemetry_cli.command_group import CommandGroup
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import connection_options, kafka_settings, topic_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_transport import TopicExistsError, TopicSpec
from flowise_telemetry_transport.topics import MAX_DEAD_LETTER_BYTES, dead_letter_topic_of

__all__ = ["topics"]

_DAY_MS = 86_400_000


@click.group(cls=CommandGroup)
def topics() -> None:
    """Kafka topics of the pipeline."""


@topics.command()
@connection_options
@topic_option
@click.option("--partitions", type=click.IntRange(min=1), default=4, show_default=True, help="Number of partitions.")
@click.option(
    "--replication-factor", type=click.IntRange(min=1), default=1, show_default=True, help="Copies of each partition."
)
@click.option(
    "--retention-days",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Days that events can be replayed.",
)
@click.option(
    "--dead-letter-retention-days",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Days that dead letters can be redriven.",
)
@pass_invocation
def create(
    invocation: Invocation,
    *,
    topic: str,
    partitions: int,
    replication_factor: int,
    retention_days: int,
    dead_letter_retention_days: int,
) -> None:
    """Create the topic of the events and the topic of their dead letters. An existing topic stays as it is.

    \b
    Example:
      flowise-telemetry topics create --bootstrap-servers localhost:9092 --partitions 8
    """
    specs = [
        TopicSpec(topic, partitions, replication_factor, (("retention.ms", str(retention_days * _DAY_MS)),)),
        TopicSpec(
            dead_letter_topic_of(topic),
            partitions,
            replication_factor,
            (
                ("retention.ms", str(dead_letter_retention_days * _DAY_MS)),
                ("max.message.bytes", str(MAX_DEAD_LETTER_BYTES)),
            ),
        ),
    ]
    admin = invocation.open_admin(kafka_settings(invocation))
    try:
        for spec in specs:
            try:
                admin.create_topic(spec)
                echo(f"{spec.name}: created, {spec.partitions} partitions")
            except TopicExistsError:
                echo(f"{spec.name}: exists")
    finally:
        admin.close()
