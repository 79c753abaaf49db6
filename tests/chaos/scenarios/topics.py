"""The topic itself: retention, a new one of the same name, more partitions; and what an app cannot take."""

from __future__ import annotations

from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial


@scenario("retention passed the consumer", alert="TelemetryRecordsExpired")
def expired(trial: Trial) -> None:
    """What nobody read before it was removed is lost, and told exactly."""
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(600)
    app.wait()
    trial.until_written(trial.random.randrange(1, 600))
    consumer.kill()
    app.offer(900)
    app.wait()
    trial.until_acknowledged(1_500)
    trial.expired_before = trial.stage.cluster.expire(trial.topic)
    consumer = trial.consumer()
    trial.until_said(consumer, "removed by retention")
    app.offer(100)


@scenario("topic deleted and made anew", alert="TelemetryTopicRecreated")
def recreated(trial: Trial) -> None:
    """The new topic grows past the old one's position while nobody reads: none of its records is skipped."""
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(300)
    app.close()
    trial.until_written(300)
    trial.until_committed()
    consumer.terminate()
    trial.stage.cluster.delete_topic(trial.topic)
    trial.stage.cluster.create_topic(trial.topic, 4)
    trial.app().offer(1_000)


@scenario("partitions added")
def repartitioned(trial: Trial) -> None:
    app = trial.app()
    trial.ready_consumer()
    app.offer(500)
    app.wait()
    trial.stage.cluster.add_partitions(trial.topic, 8)
    app.offer(3_000, per_second=60)


@scenario("more events than an app can keep while the broker is away", alert="TelemetryBrokersAway")
def overflow(trial: Trial) -> None:
    """The app refuses what it cannot keep; the sink says in the end how many that were."""
    trial.consumer()
    app = trial.app(buffer_max_events=1_000)
    app.offer(200)
    app.wait()
    trial.stage.kafka_door.shut()
    app.offer(3_000, per_second=5_000)
    app.wait()
