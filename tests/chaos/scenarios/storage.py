"""Sinks on a disk that is full, and on an object storage that ends."""

from __future__ import annotations

from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial


@scenario("disk of the sink full (SQLite)", alert="TelemetrySinkAway", sink="small disk")
def disk_full(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(300)
    app.wait()
    trial.until_written(300)
    ballast = trial.sink_folder / "ballast"
    trial.fill(ballast)
    app.offer(3_000)
    trial.until_red(consumer)
    ballast.unlink()
    trial.until_ready(consumer)
    app.offer(100)


@scenario("disk of the spool full", sink="small disk")
def spool_full(trial: Trial) -> None:
    """The app's spool takes nothing more while the broker is away: memory holds what it can."""
    trial.consumer()
    app = trial.app(spool_folder=trial.sink_folder / "spool")
    app.offer(200)
    app.wait()
    trial.until_written(200)
    trial.stage.kafka_door.shut()
    ballast = trial.sink_folder / "ballast"
    trial.fill(ballast)
    app.offer(2_000)
    app.wait()
    ballast.unlink()
    trial.stage.kafka_door.open()


@scenario("object storage killed (Delta on SeaweedFS)", alert="TelemetrySinkAway", sink="delta+s3")
def object_store_killed(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(500, per_second=200)
    trial.moment(3.0)
    trial.stage.object_store.kill()
    app.offer(300)
    trial.until_red(consumer)
    trial.stage.object_store.start()
    trial.until_ready(consumer)
    app.offer(100)


@scenario("object storage frozen (Delta on SeaweedFS)", alert="TelemetrySinkAway", sink="delta+s3")
def object_store_frozen(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(300, per_second=200)
    trial.moment(2.0)
    trial.stage.object_store.freeze()
    app.offer(300)
    trial.until_red(consumer)
    trial.stage.object_store.thaw()
    trial.until_ready(consumer)


@scenario("consumer killed at any moment (Delta on a disk)", alert="TelemetryConsumerHangs", sink="delta")
def killed_over_delta(trial: Trial) -> None:
    app = trial.app()
    app.offer(2_000, per_second=100)
    for _ in range(3):
        consumer = trial.consumer()
        trial.moment(6.0)
        consumer.kill()
