"""What is object storage's own: addresses without secrets, writes on conditions, locks that expire, its failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import polars as pl
import pytest

from flowise_telemetry_consumer.errors import FencedError, SinkError, SinkInUseError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.parquet import ParquetSink
from flowise_telemetry_consumer.sinks.parquet.address import bucket_of
from flowise_telemetry_consumer.sinks.parquet.object_store import ObjectStore
from flowise_telemetry_consumer.sinks.parquet.storage import Replacement
from flowise_telemetry_schemas import ConfigurationError, catalog
from tests.consumer.sinks.batches import batch, sizes
from tests.consumer.sinks.roles import open_claimed
from tests.consumer.sinks.test_parquet import TP0, numbers, tools


class Refusing(BaseHTTPRequestHandler):
    """A server that knows nobody, and says more than it should."""

    def answer(self) -> None:
        body = b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>key-id-of-tests</AWSAccessKeyId></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer  # noqa: N815 - the names of the library

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
def storage(s3_url: str) -> ObjectStore:
    return ObjectStore(bucket_of(s3_url, {}))


@pytest.fixture
def sink(storage: ObjectStore) -> Iterator[ParquetSink]:
    opened = ParquetSink(storage)
    opened.prepare(catalog())
    yield opened
    opened.close()


def another(s3_url: str, *, lock_seconds: float = 900.0) -> ParquetSink:
    opened = ParquetSink(ObjectStore(bucket_of(s3_url, {}), lock_seconds=lock_seconds))
    opened.prepare(catalog())
    return opened


def test_polars_reads_it_as_it_is(sink: ParquetSink, s3_url: str, s3_endpoint: str) -> None:
    sink.write(batch(repeat=3))
    prefix = bucket_of(s3_url, {}).prefix
    scanned = pl.scan_parquet(
        f"s3://telemetry/{prefix}/event=prediction_sent/**/*.parquet",
        hive_partitioning=True,
        storage_options={"aws_endpoint_url": s3_endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"},
    )
    assert scanned.sort("event_id").collect().drop("event", "date").equals(batch(repeat=3).frames["prediction_sent"])


def test_small_objects_are_merged_while_a_writer_goes_on(sink: ParquetSink, s3_url: str) -> None:
    for number in range(5):
        sink.write(tools(number))
    assert another(s3_url).compact().files_after == 1
    assert sink.write(tools(*range(7))).written == {"tool_created": 2}
    assert numbers(sink) == list(range(7))


def test_a_reading_that_a_compaction_overtakes_is_told_to_read_again(sink: ParquetSink) -> None:
    for number in range(3):
        sink.write(tools(number))
    reading = sink.read("tool_created")
    next(reading)
    sink.compact()
    with pytest.raises(SinkUnavailableError, match="read it again"):
        list(reading)
    assert numbers(sink) == [0, 1, 2]


def test_a_claim_that_comes_while_data_is_written_fences_the_progress(s3_url: str) -> None:
    other = another(s3_url)

    class Overtaken(ObjectStore):
        def replace(self, files: Sequence[Replacement]) -> list[bool]:
            if files[0].before is not None:
                other.claim("group", [TP0])
            return super().replace(files)

    sink = ParquetSink(Overtaken(bucket_of(s3_url, {})))
    sink.prepare(catalog())
    sink.claim("group", [TP0])
    with pytest.raises(FencedError):
        sink.write(replace(tools(1), offsets={TP0: 2}, source="group"))
    assert other.claim("group", [TP0]) == {}


def test_claims_at_once_each_have_their_turn(s3_url: str) -> None:
    sinks = [another(s3_url) for _ in range(3)]
    claimed = threading.Barrier(3)

    def claim(sink: ParquetSink) -> None:
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


def test_a_lock_of_a_dead_process_expires(sink: ParquetSink, s3_url: str) -> None:
    dead = another(s3_url, lock_seconds=0.0)
    dead.lock("replay")
    sink.lock("replay")
    with pytest.raises(SinkInUseError, match="free 900 s after its last write"):
        another(s3_url).lock("replay")
    # Were it not quite dead, it would notice.
    with pytest.raises(SinkInUseError, match="has expired"):
        dead.write(tools(1))
    dead.close()
    with pytest.raises(SinkInUseError):
        another(s3_url).lock("replay")
    sink.close()
    another(s3_url).lock("replay")


def test_a_lock_is_renewed_by_writing(s3_url: str) -> None:
    sink = another(s3_url, lock_seconds=0.001)
    sink.lock("replay")
    for number in range(3):
        assert sink.write(tools(number)).written == {"tool_created": 1}
    sink.close()


def test_a_lock_is_renewed_by_taking_it_again(s3_url: str) -> None:
    holder = ObjectStore(bucket_of(s3_url, {}), lock_seconds=0.001)
    holder.lock("replay")
    (path,) = holder.list_files("_flowise_telemetry/locks")
    before = holder.read([path])
    holder.lock("replay")
    assert holder.read([path]) != before
    ObjectStore(bucket_of(s3_url, {})).lock("replay")  # it has lapsed
    with pytest.raises(SinkInUseError, match="has expired"):
        holder.lock("replay")


def test_a_bucket_that_is_not_there_is_told(s3_url: str) -> None:
    sink = open_claimed(s3_url.replace("//telemetry/", "//missing/"))
    for call in (lambda: sink.prepare(catalog()), sink.counts, lambda: sink.claim("group", [TP0])):
        with pytest.raises(SinkError, match="there is no bucket missing") as caught:
            call()
        assert not caught.value.retryable


def test_a_store_that_is_away_is_an_outage(s3_url: str, s3_endpoint: str) -> None:
    sink = open_claimed(s3_url.replace(s3_endpoint, "http://127.0.0.1:1"))
    with pytest.raises(SinkUnavailableError) as caught:
        sink.prepare(catalog())
    assert "\n" not in str(caught.value)


def test_a_store_that_goes_away_takes_the_same_batch_afterwards(sink: ParquetSink, storage: ObjectStore) -> None:
    sink.write(batch(0))
    away = ObjectStore(bucket_of("parquet+s3://telemetry/x?endpoint_url=http://127.0.0.1:1", {}))
    store, storage._store = storage._store, away._store
    with pytest.raises(SinkUnavailableError):
        sink.write(batch(1))
    storage._store = store
    assert sink.write(batch(1)).written == sizes(batch())


def test_refused_credentials_are_told_and_not_shown(refusing: str, s3_url: str, s3_endpoint: str) -> None:
    sink = open_claimed(s3_url.replace(s3_endpoint, refusing))
    with pytest.raises(SinkError, match=r"refused the credentials \(403 Forbidden\)") as caught:
        sink.prepare(catalog())
    assert "key-id" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        *("parquet+s3:", "parquet+s3://", "parquet+s3:///prefix", "parquet+s3://Bucket/x", "parquet+s3://b"),
        *(
            "parquet+s3://me:geheim@bucket/x",
            "parquet+s3://bucket/a b",
            "parquet+s3://bucket/*",
            "parquet+s3://bucket/x#y",
        ),
        *("parquet+s3://bucket/x?secret=geheim", "parquet+s3://bucket/x?endpoint_url", "parquet+s3://[::1/x"),
        *("parquet+s3://bucket/x?endpoint_url=host", "parquet+s3://bucket/x?endpoint_url=https://me:geheim@host"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_text(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        bucket_of(url, {})
    assert "geheim" not in str(caught.value)


def test_endpoint_and_region_may_come_from_the_environment() -> None:
    environ = {"AWS_ENDPOINT_URL": "https://storage", "AWS_REGION": "eu-central-1"}
    bucket = bucket_of("parquet+s3://bucket/a/b/", environ)
    assert (bucket.name, bucket.prefix, bucket.endpoint_url, bucket.region) == (
        *("bucket", "a/b", "https://storage", "eu-central-1"),
    )
    given = bucket_of("parquet+s3://bucket?endpoint_url=http://here:9000&region=garage", environ)
    assert (given.prefix, given.endpoint_url, given.region) == ("", "http://here:9000", "garage")
    assert bucket_of("parquet+s3://bucket", {}).region == "us-east-1"
