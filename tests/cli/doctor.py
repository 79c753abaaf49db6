"""``doctor`` in this process, on a ``SmallBroker``: states and texts by the names of the checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_transport import InMemoryBroker, TopicSpec
from tests.cli.in_process import run_command
from tests.transport.small_broker import SmallBroker
from tests.transport.small_topics import SmallTopic, SmallTopics

__all__ = ["EVENTS", "LETTERS", "PASSWORD", "PREFIX", "WELL", "Broker", "Found", "doctor", "failing", "in_memory"]

EVENTS, LETTERS = "flowise.telemetry.events", "flowise.telemetry.events.dlq"
PASSWORD = "hunter2marker"
WELL = SmallTopics({EVENTS: SmallTopic(), LETTERS: SmallTopic()})
PREFIX = "FLOWISE_TELEMETRY_"

Found = dict[str, tuple[str, str]]


Broker = Callable[..., SmallBroker]


def in_memory() -> Invocation:
    """The client's part is in memory: what is on the wire is the ``SmallBroker``'s."""
    memory = InMemoryBroker()
    for name in (EVENTS, LETTERS):
        memory.open_admin().create_topic(TopicSpec(name, 4))
    return Invocation(
        open_reader=lambda settings, **more: memory.open_reader(group=more.get("group")),
        open_admin=lambda settings: memory.open_admin(),
    )


def doctor(*arguments: str, folder: Path, server: str = "", **variables: str) -> tuple[int, Found]:
    """Return the exit status, and state and text of each finding by its name."""
    environ = {PREFIX + name: text for name, text in variables.items()}
    if server:
        environ[f"{PREFIX}BOOTSTRAP_SERVERS"] = server
    done = run_command("doctor", *arguments, "--json", folder=folder, env=environ, invocation=in_memory())
    assert PASSWORD not in done.stdout + done.stderr
    assert not done.stderr
    document = json.loads(done.stdout)
    found = {each["name"]: (each["state"], f"{each['says']}: {each['mend']}") for each in document["checks"]}
    assert document["failed"] == sum(each["state"] == "failed" for each in document["checks"])
    assert (done.status == 1) == bool(document["failed"])
    return done.status, found


def failing(found: Found) -> set[str]:
    return {name for name, (state, _) in found.items() if state == "failed"}
