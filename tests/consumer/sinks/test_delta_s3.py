"""What is object storage's own: addresses without secrets, conditional puts, locks that expire, its failures.

Most of it runs on moto, in this process; what has to be believed of a real store runs on SeaweedFS.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from flowise_telemetry_consumer.errors import (
    FencedError,
    SinkDeniedError,
    SinkError,
    SinkInUseError,
    SinkUnavailableError,
)
from flowise_telemetry_consumer.replay import from_snapshot, open_source, replay_source
from flowise_telemetry_consumer.sinks.delta import DeltaSink
from flowise_telemetry_consumer.sinks.delta.address import Place, place_of
from flowise_telemetry_consumer.sinks.delta.object_store import ObjectStore
from flowise_telemetry_schemas import ConfigurationError, catalog
from tests.consumer.replay.copies import KilledError, let_die
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.faulty_storage import FAULTS, Fault, faulty_storage
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.test_delta import TP0, numbers, of_group, tools
from tests.services.object_store import ACCESS_KEY, BUCKET, SECRET_KEY, ObjectStoreService, SeaweedFS

pytestmark = pytest.mark.slow  # object storage runs in the tests' process

IS_THOROUGH = os.environ.get("TEST_OBJECTS") == "1"
FAULTY_BATCHES = 20 if IS_THOROUGH else 6
KILLED_BATCHES = 60 if IS_THOROUGH else 15


class Refusing(BaseHTTPRequestHandler):
    """A server that knows nobody, and says more than it should."""

    def answer(self) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>key-id-of-tests</AWSAccessKeyId></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = answer  # noqa: N815 - the names of the library

    def log_message(self, *told: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(60)


@pytest.fixture
def url(s3_url: str) -> str:
    return s3_url


@pytest.fixture
def place(url: str) -> Place:
    return place_of(url, {})


@pytest.fixture
def sink(place: Place) -> Iterator[DeltaSink]:
    opened = another(place)
    yield opened
    opened.close()


@pytest.fixture
def real(object_store: ObjectStoreService, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: object) -> str:
    """The URL of an empty lake on a real object storage."""
    return url_at(object_store.endpoint, monkeypatch)


def url_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return f"delta+s3://{BUCKET}/{random.randbytes(8).hex()}/lake?endpoint_url={endpoint}"


def another(place: Place, *, lock_seconds: float = 900.0, timeout_seconds: float = 30.0) -> DeltaSink:
    opened = DeltaSink(ObjectStore(place, lock_seconds=lock_seconds, timeout_seconds=timeout_seconds))
    opened.prepare(catalog())
    return opened


def test_polars_reads_it_as_it_is(sink: DeltaSink, place: Place) -> None:
    sink.write(batch(repeat=3))
    scanned = pl.scan_delta(f"{place.root}/prediction_sent", storage_options=dict(place.options))
    rows = scanned.sort("event_id").collect().drop("date")
    expected = batch(repeat=3).frames["prediction_sent"]
    assert rows.with_columns(pl.col("occurred_at").dt.cast_time_unit("ms")).equals(expected)


def test_a_promotion_exchanges_the_rows(sink: DeltaSink) -> None:
    sink.write(tools(1))
    staging = sink.staging("next")
    staging.prepare([catalog().latest("tool_created")])
    staging.write(tools(7, 8))
    sink.promote("next")
    assert (numbers(sink), numbers(staging)) == ([7, 8], [1])
    assert sink.write(tools(1, 8)).written == {"tool_created": 1}


def test_small_objects_are_merged_while_a_writer_goes_on(sink: DeltaSink, place: Place) -> None:
    for number in range(5):
        sink.write(tools(number))
    assert another(place).compact().files_after == 1
    assert sink.write(tools(*range(7))).written == {"tool_created": 2}
    assert numbers(sink) == list(range(7))


def test_a_claim_that_comes_while_data_is_written_fences_the_batch(place: Place) -> None:
    other = another(place)

    class Overtaken(ObjectStore):
        def create(self, path: str, data: bytes) -> bool:
            if b'"WRITE"' in data:
                other.claim("group", [TP0])
            return super().create(path, data)

    sink = DeltaSink(Overtaken(place))
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    with pytest.raises(FencedError):
        sink.write(of_group(TP0, 1))
    assert other.claim("group", [TP0]) == {}
    assert numbers(other) == []
    assert other.write(of_group(TP0, 1)).written == {"tool_created": 1}


def test_claims_at_once_each_have_their_turn(place: Place) -> None:
    sinks = [another(place) for _ in range(3)]
    claimed = threading.Barrier(3)

    def claim(sink: DeltaSink) -> None:
        claimed.wait(60)
        sink.claim("group", [TP0])

    threads = [threading.Thread(target=claim, args=(sink,)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    outcomes = []
    for number, sink in enumerate(sinks):
        try:
            sink.write(replace(tools(number), offsets={TP0: number}, source="group"))
            outcomes.append("wrote")
        except FencedError:
            outcomes.append("fenced")
    assert sorted(outcomes) == ["fenced", "fenced", "wrote"]


def test_a_lock_of_a_dead_process_expires(sink: DeltaSink, place: Place) -> None:
    dead = another(place, lock_seconds=0.0)
    dead.lock("replay")
    sink.lock("replay")
    with pytest.raises(SinkInUseError, match="free 900 s after its last write"):
        another(place).lock("replay")
    # Were it not quite dead, it would notice.
    with pytest.raises(SinkInUseError, match="has expired"):
        dead.write(tools(1))
    dead.close()
    with pytest.raises(SinkInUseError):
        another(place).lock("replay")
    sink.close()
    another(place).lock("replay")


def test_a_lock_is_renewed_by_writing_and_by_taking_it_again(place: Place) -> None:
    sink = another(place, lock_seconds=0.001)
    sink.lock("replay")
    for number in range(3):
        assert sink.write(tools(number)).written == {"tool_created": 1}
    sink.lock("replay")
    ObjectStore(place).lock("replay")  # it has lapsed
    with pytest.raises(SinkInUseError, match="has expired"):
        sink.lock("replay")


def test_a_bucket_that_is_not_there_is_told(url: str) -> None:
    sink = open_claimed(url.replace("//telemetry/", "//missing/"))
    for call in (lambda: sink.prepare(catalog()), sink.counts, lambda: sink.claim("group", [TP0])):
        with pytest.raises(SinkError, match="there is no bucket missing") as caught:
            call()
        assert not caught.value.retryable


def test_a_store_that_is_away_is_an_outage(url: str, s3_endpoint: str) -> None:
    sink = open_claimed(url.replace(s3_endpoint, "http://127.0.0.1:1"))
    with pytest.raises(SinkUnavailableError) as caught:
        sink.prepare(catalog())
    assert "\n" not in str(caught.value)


def test_refused_credentials_are_told_and_not_shown(refusing: str, url: str, s3_endpoint: str) -> None:
    sink = open_claimed(url.replace(s3_endpoint, refusing))
    for call in (lambda: sink.prepare(catalog()), sink.counts):
        with pytest.raises(SinkDeniedError, match=r"refused the credentials \(403 Forbidden\)") as caught:
            call()
        assert "key-id" not in str(caught.value)
        assert "geheim" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not caught.value.retryable


@pytest.mark.parametrize(
    "wrong",
    [
        *("delta+s3:", "delta+s3://", "delta+s3:///prefix", "delta+s3://Bucket/x", "delta+s3://b"),
        *("delta+s3://me:geheim@bucket/x", "delta+s3://bucket/a b", "delta+s3://bucket/*", "delta+s3://bucket/x#y"),
        *("delta+s3://bucket/x?secret=geheim", "delta+s3://bucket/x?endpoint_url", "delta+s3://[::1/x"),
        *("delta+s3://bucket/x?endpoint_url=host", "delta+s3://bucket/x?endpoint_url=https://me:geheim@host"),
        *("delta+gs://bucket/x?region=y", "delta+az://container/x?account_key=geheim"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_text(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place_of(wrong, {})
    assert "geheim" not in str(caught.value)


def test_endpoint_and_region_may_come_from_the_environment() -> None:
    environ = {"AWS_ENDPOINT_URL": "https://storage", "AWS_REGION": "eu-central-1"}
    found = place_of("delta+s3://bucket/a/b/", environ)
    assert (found.root, found.options["aws_endpoint"], found.options["aws_region"]) == (
        *("s3://bucket/a/b", "https://storage", "eu-central-1"),
    )
    given = place_of("delta+s3://bucket?endpoint_url=http://here:9000&region=garage", environ)
    assert (given.root, given.options["aws_endpoint"], given.options["aws_region"]) == (
        *("s3://bucket", "http://here:9000", "garage"),
    )
    assert place_of("delta+s3://bucket", {}).options == {"aws_region": "us-east-1"}
    assert place_of("delta+az://box/a?account_name=me", environ).options == {"account_name": "me"}
    assert place_of("delta+gs://box/a", environ).root == "gs://box/a"


@pytest.mark.slow
def test_a_real_store_refuses_the_second_of_two_commits(real: str) -> None:
    first, second = (ObjectStore(place_of(real, {})) for _ in range(2))
    assert first.create("table/_delta_log/1.json", b"one")
    assert not second.create("table/_delta_log/1.json", b"two")
    # Its own, when the answer was lost.
    assert first.create("table/_delta_log/1.json", b"one")
    assert second.read("table/_delta_log/1.json") == b"one"


def _write_through(place: Place, outages: list[SinkUnavailableError], batches: int, *, timeout_seconds: float) -> None:
    """Write so many batches as a consumer does: the same again after an outage, and begin where the sink is."""
    sink = DeltaSink(ObjectStore(place, timeout_seconds=timeout_seconds))
    number = -1
    while number < batches:
        try:
            if number < 0:
                sink.prepare(catalog())
                number = sink.claim("group", [TP0]).get(TP0, 0)
            else:
                sink.write(replace(batch(number, 20), offsets={TP0: number + 1}, source="group"))
                number += 1
        except SinkUnavailableError as error:
            outages.append(error)
            assert len(outages) < 1000
    sink.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3 if IS_THOROUGH else 1))
def test_requests_that_fail_or_whose_answers_are_lost_change_nothing(
    object_store: ObjectStoreService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    seed: int,
) -> None:
    chance = random.Random(seed)
    # Each kind comes for certain, and early: the others are drawn, "silent" seldom, as it takes until the timeout.
    due: dict[int, Fault] = dict(zip(sorted(chance.sample(range(5, 60), 3)), FAULTS, strict=True))
    requests = count()

    def choose(method: str, path: str) -> Fault:
        drawn, number = chance.random(), next(requests)
        if number in due:
            return due[number]
        return "busy" if drawn < 0.2 else "answer lost" if drawn < 0.35 else "silent" if drawn < 0.355 else ""

    outages: list[SinkUnavailableError] = []
    with faulty_storage(object_store.endpoint) as storage:
        url = url_at(storage.endpoint, monkeypatch)
        storage.choose = choose
        _write_through(place_of(url, {}), outages, FAULTY_BATCHES, timeout_seconds=0.5)
    told = f"seed {seed}: {dict(Counter(storage.faults))} in {next(requests)} requests, {len(outages)} outages"
    with capsys.disabled():
        sys.stdout.write(f"\n{told}\n")
    assert set(storage.faults) == set(FAULTS), told
    assert outages, told
    assert all("\n" not in str(error) for error in outages)
    reader = open_claimed(url.replace(storage.endpoint, object_store.endpoint))
    assert reader.claim("group", [TP0]) == {TP0: FAULTY_BATCHES}
    assert reader.counts() == {event: FAULTY_BATCHES * size for event, size in sizes(batch(repeat=20)).items()}


@pytest.mark.slow
@pytest.mark.services
def test_a_store_that_is_killed_and_started_again_in_the_middle_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = SeaweedFS().start()
    try:
        place = place_of(url_at(server.endpoint, monkeypatch), {})
        outages: list[SinkUnavailableError] = []
        failures: list[Exception] = []

        def write() -> None:
            try:
                _write_through(place, outages, KILLED_BATCHES, timeout_seconds=2.0)
            except Exception as error:
                failures.append(error)

        writing = threading.Thread(target=write)
        writing.start()
        for wanted in (10, 30) if IS_THOROUGH else (5,):
            watching = another(place)
            while not failures and watching.claim("watch", []) is not None:
                if any(it.next_offsets.get(TP0, 0) >= wanted for it in watching.progress()):
                    break
            server.kill()
            server.start()
        writing.join(300)
        assert failures == []
        assert outages
        reader = another(place)
        assert reader.claim("group", [TP0]) == {TP0: KILLED_BATCHES}
        assert reader.counts() == {event: KILLED_BATCHES * size for event, size in sizes(batch(repeat=20)).items()}
    finally:
        server.stop()


def test_a_table_in_a_bucket_is_replayed_and_goes_on_after_a_kill(
    sink: DeltaSink, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.prepare(catalog())
    for number in range(5):
        sink.write(tools(*range(10 * number, 10 * number + 10)))
    monkeypatch.setattr(from_snapshot, "PORTION_ROWS", 20)
    before = []
    for batches in (1, 10):
        target = open_claimed(f"sqlite:///{tmp_path / 'copy'}")
        let_die(target, batches)
        with closing(target), closing(open_source(url.replace("?", "/tool_created?"), catalog())) as source:
            with contextlib.suppress(KilledError):
                before.append(replay_source(source, target, catalog()).before)
            rows = target.counts()["tool_created"]
        assert rows == (20 if batches == 1 else 50)
    assert before == [20]
