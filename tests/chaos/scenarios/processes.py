"""Apps and consumers that are killed, stopped, suspended, added."""

from __future__ import annotations

import signal

from tests.chaos.processes import TrialError
from tests.chaos.scenario import scenario
from tests.chaos.trial import Trial

_KILLS = 5


@scenario("app and consumer killed", alert="TelemetryConsumerHangs", smoke=True)
def both_killed(trial: Trial) -> None:
    app, consumer = trial.app(spool=True), trial.ready_consumer()
    app.offer(3_000)
    trial.send_junk(20)
    trial.until_acknowledged(300)
    trial.moment(1.0)
    consumer.kill()
    trial.moment(0.5)
    app.kill()
    trial.consumer()
    trial.app(spool=True, after=app).offer(300)


@scenario("consumer killed at any moment, again and again", alert="TelemetryConsumerHangs")
def killed_often(trial: Trial) -> None:
    app = trial.app()
    app.offer(6_000, per_second=300)
    for _ in range(_KILLS):
        consumer = trial.consumer()
        trial.send_junk(5)
        trial.moment(6.0)
        consumer.kill()


@scenario("app killed at any moment, again and again")
def app_killed_often(trial: Trial) -> None:
    trial.consumer()
    app = trial.app(spool=True)
    for _ in range(_KILLS):
        app.offer(2_000)
        trial.moment(2.0)
        app.kill()
        app = trial.app(spool=True, after=app)


@scenario("consumer asked to stop at any moment", smoke=True)
def asked_to_stop(trial: Trial) -> None:
    """A rolling update: SIGTERM, while it starts too; it ends by itself, and says whether it left records."""
    app = trial.app()
    app.offer(1_500, per_second=500)
    for _ in range(3):
        consumer = trial.consumer()
        trial.moment(4.0)
        status = consumer.terminate()
        # While the interpreter or the command is still being loaded, it has done nothing yet.
        loading = status in (-signal.SIGTERM, 128 + signal.SIGTERM) and not consumer.has_begun
        if status not in (0, 3) and not loading:
            raise TrialError(f"exit status {status} after SIGTERM")


@scenario("app asked to stop at any moment")
def app_asked_to_stop(trial: Trial) -> None:
    trial.consumer()
    for _ in range(3):
        app = trial.app(spool=True, after=trial.apps[-1] if trial.apps else None)
        app.offer(2_000)
        trial.moment(2.0)
        app.terminate()
    trial.app(spool=True, after=trial.apps[-1]).offer(10)


@scenario("consumer suspended longer than its session", alert="TelemetryConsumerHangs")
def suspended(trial: Trial) -> None:
    """Another one takes over; the first goes on with what it had in hand, and is fenced."""
    app, first = trial.app(), trial.ready_consumer()
    app.offer(4_000, per_second=400)
    trial.moment(2.0)
    first.freeze()
    second = trial.consumer()
    trial.until_ready(second)
    first.thaw()


@scenario("scaled up to four consumers and down to one")
def scaled(trial: Trial) -> None:
    app = trial.app()
    app.offer(6_000, per_second=400)
    consumers = [trial.consumer() for _ in range(4)]
    trial.until_ready(consumers[0])
    trial.moment(2.0)
    for consumer in consumers[1:]:
        trial.moment(2.0)
        consumer.terminate()


@scenario("app whose clock is two hours ahead")
def clock_ahead(trial: Trial) -> None:
    """Kafka takes no record that is dated later than an hour from now; the event has to arrive all the same."""
    trial.consumer()
    trial.app(clock_seconds=7_200.0).offer(500)


@scenario("app whose clock is three days behind")
def clock_behind(trial: Trial) -> None:
    trial.consumer()
    trial.app(clock_seconds=-259_200.0).offer(500)
