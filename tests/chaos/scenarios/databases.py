"""PostgreSQL that stands still, ends, or comes back as it was before."""

from __future__ import annotations

from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial


@scenario("PostgreSQL killed", alert="TelemetrySinkAway", smoke=True)
def killed(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000)
    trial.send_junk(5)
    trial.moment(0.8)
    trial.stage.postgres.kill()
    app.offer(100)  # so that there is something to write
    trial.until_red(consumer)
    trial.stage.postgres.start()
    trial.until_ready(consumer)
    app.offer(200)


@scenario("PostgreSQL frozen", alert="TelemetrySinkAway")
def frozen(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000)
    trial.moment(0.8)
    trial.stage.postgres.freeze()
    app.offer(500)
    trial.until_red(consumer)
    trial.stage.postgres.thaw()
    trial.until_ready(consumer)


@scenario("network to PostgreSQL a black hole, then reset", alert="TelemetrySinkAway")
def black_hole(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000)
    trial.moment(0.8)
    trial.stage.postgres_door.freeze()
    app.offer(500)
    trial.until_red(consumer)
    trial.stage.postgres_door.reset()
    trial.stage.postgres_door.thaw()
    trial.until_ready(consumer)


@scenario("PostgreSQL restored from an older copy", alert="TelemetrySinkRestored")
def restored(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(1_000)
    app.wait()
    trial.until_written(trial.random.randrange(200, 800))
    consumer.terminate()
    live = trial.sink_url.rpartition("/")[2]
    server = trial.stage.postgres
    server.execute(f'CREATE DATABASE "{live}_old" TEMPLATE "{live}"')
    consumer = trial.ready_consumer()
    app.offer(1_000)
    app.wait()
    trial.until_written(2_000)
    server.execute(f'DROP DATABASE "{live}" WITH (FORCE)')
    server.execute(f'ALTER DATABASE "{live}_old" RENAME TO "{live}"')
    app.offer(200)
    trial.until_said(consumer, "reading again")


@scenario("PostgreSQL failed over to a standby that was behind", alert="TelemetrySinkRestored")
def failed_over(trial: Trial) -> None:
    app, consumer = trial.app(), trial.ready_consumer()
    app.offer(500)
    app.wait()
    trial.until_written(500)
    standby = trial.stage.postgres.standby()
    app.offer(500)
    app.wait()
    trial.until_written(1_000)
    standby.kill()
    app.offer(1_000)
    app.wait()
    trial.until_written(2_000)
    trial.stage.fail_over(standby)
    app.offer(200)
    trial.until_said(consumer, "reading again")
