"""``python -m tests.chaos``: every scenario with both clients, and a table of what became of each."""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NoReturn, get_args

import tests.chaos.scenarios  # noqa: F401 # registers them
from flowise_telemetry_transport import ClientName
from tests.chaos.processes import NotTriedError
from tests.chaos.report import Outcome, table
from tests.chaos.scenario import SCENARIOS, Scenario
from tests.chaos.stage import Stage
from tests.chaos.trial import Trial
from tests.services.ladder import RungUnavailableError

CLIENTS: tuple[ClientName, ...] = get_args(ClientName)


def main() -> int:
    options = _options()
    chosen = list(_trials(options))
    signal.signal(signal.SIGTERM, _interrupted)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)
    stage = Stage()
    outcomes: list[Outcome] = []
    is_complete = False
    try:
        try:
            stage.start()
        except RungUnavailableError as error:
            _say(f"error: {error}")
            return 1
        for number, (scenario, client) in enumerate(chosen):
            outcome = _tried(stage, scenario, client, options.seed, folder / f"{number}-{client}")
            if outcome is not None:
                outcomes.append(outcome)
                _tell(outcome)
        is_complete = True
    except KeyboardInterrupt:
        _say("interrupted")
    finally:
        stage.stop()
    sys.stdout.write(f"{table(outcomes)}\n")
    failed = [outcome for outcome in outcomes if not outcome.holds]
    _say(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed, seed {options.seed}")
    if failed or not is_complete:
        _say(f"logs: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _tried(stage: Stage, scenario: Scenario, client: ClientName, seed: int, folder: Path) -> Outcome | None:
    """One trial, after which all is up again; None if this machine cannot do it. What goes wrong is an outcome."""
    folder.mkdir()
    began = time.monotonic()
    stage.use(scenario.brokers)
    trial = Trial(
        stage=stage,
        client=client,
        folder=folder,
        random=Random(f"{seed} {scenario.name} {client}"),
        topic=stage.cluster.new_topic(scenario.partitions),
    )
    verdict, failure = None, None
    try:
        trial.begin(scenario.sink)
        scenario.run(trial)
        verdict = trial.settle()
    except NotTriedError as error:
        _say(f"not tried: {scenario.name} ({error})")
        return None
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        (folder / "traceback").write_text(traceback.format_exc())
    finally:
        trial.end()
        stage.heal()
    return Outcome(
        scenario.name, client, scenario.alert, time.monotonic() - began, verdict, failure, tuple(trial.notes)
    )


def _trials(options: argparse.Namespace) -> Iterator[tuple[Scenario, ClientName]]:
    chosen = [scenario for scenario in SCENARIOS if re.search(options.only, scenario.name)]
    if options.smoke:
        chosen = [scenario for scenario in chosen if scenario.smoke]
    for number, scenario in enumerate(chosen):
        # The short form tries every other scenario with the other client.
        clients = (CLIENTS[number % 2],) if options.smoke else CLIENTS
        yield from ((scenario, client) for client in clients if options.client in (None, client))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few scenarios, in two minutes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="repeats a run")
    parser.add_argument("--only", default="", metavar="REGEX", help="scenarios whose name matches")
    parser.add_argument("--client", choices=CLIENTS)
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    return options


def _tell(outcome: Outcome) -> None:
    state = "ok" if outcome.holds else "FAILED"
    _say(f"{state:6} {outcome.seconds:5.0f} s  {outcome.scenario} ({outcome.client})")
    lines: Sequence[str] = [*outcome.notes, *(outcome.verdict.lines() if outcome.verdict else ())]
    for line in [*lines, *([outcome.failure] if outcome.failure else [])]:
        _say(f"          {line}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
