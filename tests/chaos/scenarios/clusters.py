"""A Kafka of three brokers, each record on all of them and acknowledged by two."""

from __future__ import annotations

from tests.chaos.processes import STEADY_PER_SECOND
from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial


@scenario("each of three brokers killed in turn", brokers=3)
def each_killed(trial: Trial) -> None:
    """Leaders, coordinator and controller go with them; the two that are left go on by themselves."""
    cluster = trial.stage.cluster
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    brokers = trial.random.sample(cluster.brokers, len(cluster.brokers))
    for number, broker in enumerate(brokers, start=1):
        app.offer(1_000, per_second=STEADY_PER_SECOND)
        trial.moment(2.0)
        broker.kill()
        trial.until_written(number * 1_000)
        trial.until_ready(consumer)
        broker.launch()
        cluster.until_in_sync()


@scenario("controller of three brokers frozen", brokers=3)
def controller_frozen(trial: Trial) -> None:
    """Another one takes its place; when it goes on, it learns of that."""
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    app.offer(2_000, per_second=STEADY_PER_SECOND)
    controller = trial.stage.cluster.controller()
    controller.freeze()
    trial.until_written(2_000)
    trial.until_ready(consumer)
    controller.thaw()
    app.offer(100)


@scenario("two of three brokers killed", brokers=3, alert="TelemetryBrokersAway")
def two_killed(trial: Trial) -> None:
    """Nothing is acknowledged by one alone."""
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    app.offer(1_000, per_second=STEADY_PER_SECOND)
    trial.moment(2.0)
    killed = trial.random.sample(trial.stage.cluster.brokers, 2)
    for broker in killed:
        broker.kill()
    app.offer(500)
    app.wait()
    trial.until_red(consumer)
    for broker in killed:
        broker.launch()
    trial.until_ready(consumer)


@scenario("fewer replicas in sync than the topic demands", brokers=3)
def too_few_in_sync(trial: Trial) -> None:
    """The brokers refuse the app's records until the third is back; the consumer has nothing to wait for."""
    cluster = trial.stage.cluster
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    cluster.demand_replicas(trial.topic, 3)
    app.offer(1_000, per_second=STEADY_PER_SECOND)
    trial.moment(2.0)
    broker = trial.random.choice(cluster.brokers)
    broker.kill()
    app.offer(500)
    app.wait()
    trial.until_ready(consumer)
    broker.launch()
    trial.until_written(1_500)


@scenario("fewer replicas in sync than the dead letters demand", brokers=3, alert="TelemetrySinkAway")
def letters_refused(trial: Trial) -> None:
    """The consumer waits, as a record that it cannot set aside would be lost."""
    cluster = trial.stage.cluster
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    cluster.demand_replicas(f"{trial.topic}.dlq", 3)
    broker = trial.random.choice(cluster.brokers)
    broker.kill()
    app.offer(500)
    trial.send_junk(20)
    trial.until_red(consumer)
    broker.launch()
    trial.until_ready(consumer)
    app.offer(100)


@scenario("one of three brokers a black hole to its clients", brokers=3)
def one_black_hole(trial: Trial) -> None:
    """The other brokers see it well, so that it stays the leader of what it leads."""
    app = trial.app(spool=True)
    consumer = trial.ready_consumer()
    app.offer(1_500, per_second=STEADY_PER_SECOND)
    trial.moment(2.0)
    door = trial.random.choice(trial.stage.cluster.doors)
    door.freeze()
    app.wait()
    trial.moment(10.0)
    door.thaw()
    trial.until_written(1_500)
    trial.until_ready(consumer)
