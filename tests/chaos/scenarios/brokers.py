"""Kafka and the network in front of it."""

from __future__ import annotations

from tests.chaos.processes import STEADY_PER_SECOND
from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial


@scenario("broker frozen", alert="TelemetryBrokersAway")
def frozen(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000, per_second=STEADY_PER_SECOND)
    trial.moment(1.0)
    trial.stage.kafka.freeze()
    app.offer(500)
    trial.until_red(consumer)
    trial.stage.kafka.thaw()
    trial.until_ready(consumer)
    app.offer(100)


@scenario("broker killed and started again", alert="TelemetryBrokersAway")
def killed(trial: Trial) -> None:
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    app.offer(2_000, per_second=STEADY_PER_SECOND)
    trial.moment(1.5)
    trial.stage.kafka.kill()
    trial.until_red(consumer)
    trial.stage.kafka.launch()
    trial.until_ready(consumer)
    app.offer(100)


@scenario("connections to Kafka reset, again and again", smoke=True)
def resets(trial: Trial) -> None:
    app = trial.app()
    trial.consumer()
    app.offer(1_500, per_second=500)
    for _ in range(6):
        trial.moment(1.0)
        trial.stage.kafka_door.reset()


@scenario("network to Kafka slow")
def slow(trial: Trial) -> None:
    trial.stage.kafka_door.latency_seconds = 0.2
    app = trial.app()
    trial.consumer()
    app.offer(1_000)
    app.wait()


@scenario("network to Kafka a black hole", alert="TelemetryBrokersAway")
def black_hole(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000, per_second=STEADY_PER_SECOND)
    trial.moment(1.0)
    trial.stage.kafka_door.freeze()
    app.offer(500)
    trial.until_red(consumer)
    trial.stage.kafka_door.thaw()
    trial.until_ready(consumer)


@scenario("a balancer that accepts and closes before Kafka", alert="TelemetryBrokersAway")
def turned_away(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000, per_second=STEADY_PER_SECOND)
    trial.moment(1.0)
    trial.stage.kafka_door.turns_away = True
    trial.stage.kafka_door.cut()
    app.offer(500)
    trial.until_red(consumer)
    trial.stage.kafka_door.turns_away = False
    trial.until_ready(consumer)
