"""A record that the client cannot parse: it is named, its neighbours are read, a seek steps over it."""

from __future__ import annotations

from typing import Any

import pytest

from flowise_telemetry_transport import ClientName, OutgoingRecord, TopicPartition, UnreadableRecordError
from tests.services.kafka import KafkaService
from tests.transport.backends import ClusterBackend, read, until, write


class NotUtf8(str):
    """A header key whose bytes no client takes for text."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


@pytest.mark.services
@pytest.mark.parametrize("broker", ["kafka", "embedded_kafka"])
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_header_key_that_is_not_utf8(
    client: ClientName, broker: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka import __version__ as kafka_python
    from kafka.record.default_records import DefaultRecordBatchBuilder

    if client == "kafka-python" and kafka_python.startswith("3."):
        why = "kafka-python 3 does not get past a record that it cannot parse: poll raises, and nothing is lost"
        request.applymarker(pytest.mark.xfail(reason=why))
    service: KafkaService = request.getfixturevalue(broker)
    append = DefaultRecordBatchBuilder.append

    def append_broken(self: Any, offset: int, timestamp: int, key: Any, value: Any, headers: Any, **more: Any) -> Any:
        broken = [(NotUtf8(name) if name == "broken" else name, content) for name, content in headers]
        return append(self, offset, timestamp, key, value, broken, **more)

    topic, tp = (name := service.new_topic()), TopicPartition(name, 0)
    writing = ClusterBackend("kafka-python", service)
    with monkeypatch.context() as patch:
        patch.setattr(DefaultRecordBatchBuilder, "append", append_broken)
        names = ["a", "b", "broken", "d", "broken", "f"]
        write(writing, [OutgoingRecord(topic, b"k", b"v", ((name, b"1"),), partition=0) for name in names])
    writing.close()

    backend = ClusterBackend(client, service)
    try:
        reader = backend.reader()
        reader.assign({tp: 0})
        assert [record.offset for record in read(reader, count=2)] == [0, 1]
        for _ in range(2):
            with pytest.raises(UnreadableRecordError) as caught:
                until(lambda: False, reader)
            assert (caught.value.topic, caught.value.partition, caught.value.offset) == (topic, 0, 2)
            assert reader.position(tp) == 2
        reader.seek(tp, 3)
        assert [record.offset for record in read(reader, count=1)] == [3]
        with pytest.raises(UnreadableRecordError) as caught:
            until(lambda: False, reader)
        assert caught.value.offset == 4
        reader.seek(tp, 5)
        assert [record.offset for record in read(reader, count=1)] == [5]
    finally:
        backend.close()
