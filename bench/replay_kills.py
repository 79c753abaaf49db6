"""kill -9 at random moments of one replay of many events, as a user runs it; its rows against an uninterrupted one.

``KAFKA_BOOTSTRAP_SERVERS=host:port python -m bench.replay_kills [--sink URL]``: without ``--sink`` into SQLite.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import polars as pl
from tests.consumer.filled_topic import fill
from tests.consumer.sinks.roles import open_readable

from flowise_telemetry_schemas import catalog
from flowise_telemetry_transport import KafkaSettings, TopicSpec, open_admin, parse_bootstrap_servers

COMMAND = [sys.executable, "-c", "from flowise_telemetry_cli import main; main()", "replay", "--json", "--sink"]


def same_rows(one: str, other: str) -> dict[str, int]:
    """How many rows of each event both sinks have; ends the program where a row differs."""
    first, second = open_readable(one), open_readable(other)
    counts = {}
    for event in catalog().events:
        frames = [pl.concat([*sink.read(event, batch_rows=200_000)]).sort("event_id") for sink in (first, second)]
        if not frames[0].equals(frames[1]):
            raise SystemExit(f"error: the rows of {event} differ: {frames[0].height} and {frames[1].height}")
        counts[event] = frames[0].height
    first.close()
    second.close()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--sink", help="an empty one")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    admin = open_admin(KafkaSettings(bootstrap_servers=parse_bootstrap_servers(servers)))
    admin.create_topic(TopicSpec(topic, 4))
    admin.close()
    fill(servers, topic, chosen.events)
    os.environ |= {
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": servers,
        "FLOWISE_TELEMETRY_TOPIC": topic,
        "FLOWISE_TELEMETRY_CLIENT": "librdkafka",
    }
    dice = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = f"sqlite:///{Path(folder) / 'whole.db'}", f"sqlite:///{Path(folder) / 'killed.db'}"
        killed = chosen.sink or killed
        began = time.monotonic()
        subprocess.run([*COMMAND, whole], check=True, capture_output=True)
        seconds = time.monotonic() - began
        print(f"{chosen.events:,} events, uninterrupted: {seconds:.1f} s; seed {chosen.seed}")
        kills = 0
        while kills < chosen.kills:
            running = subprocess.Popen([*COMMAND, killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            after = dice.uniform(0.5, 0.5 + 1.5 * seconds / chosen.kills)
            time.sleep(after)
            running.kill()
            if running.wait() != -9:
                raise SystemExit(f"error: it was finished after {kills} kills: take more events")
            kills += 1
            print(f"  kill -9 number {kills} after {after:.2f} s")
        last = json.loads(subprocess.run([*COMMAND, killed], check=True, capture_output=True).stdout)
        there, left = sum(last["already_there"].values()), sum(last["written"].values())
        print(f"  the last start: resumed {last['resumed']}, wrote {left:,}, read {there:,} a second time")
        counts = same_rows(whole, killed)
        print(f"row for row the same: {counts}, {sum(counts.values()):,} in all")


if __name__ == "__main__":
    main()
