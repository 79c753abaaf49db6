"""What a gateway answers, and what becomes of the records."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport import (
    AuthenticationError,
    AuthorizationError,
    BufferFullError,
    Delivery,
    DeliveryError,
    DeliveryTimeoutError,
    MessageTooLargeError,
    OutgoingRecord,
    RecordWriter,
    TransportError,
)
from flowise_telemetry_transport.errors import TlsUnexpectedError, UnknownHostError, UnreachableError
from flowise_telemetry_transport.gateway import connection, open_gateway_writer
from flowise_telemetry_transport.gateway.settings import GatewaySettings
from flowise_telemetry_transport.gateway.wire import encode_answer
from tests.transport.backends import PATIENCE_SECONDS, InFlight
from tests.transport.gateway.server import KEY, Fault, GatewayServer, Request, say, serving


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    with serving(GatewayServer()) as served:
        yield served


@pytest.fixture
def open_writer() -> Iterator[Callable[..., RecordWriter]]:
    opened: list[RecordWriter] = []

    def open_writer(endpoint: str, *, options: dict[str, Any] | None = None, **settings: Any) -> RecordWriter:
        key = {} if "project_key_file" in settings else {"project_key": KEY}
        writer = open_gateway_writer(GatewaySettings(**{"endpoint": endpoint, **key, **settings}), **(options or {}))
        opened.append(writer)
        return writer

    yield open_writer
    for writer in opened:
        writer.close(timeout_seconds=0)


Open = Callable[..., RecordWriter]


def records(count: int, size: int = 10) -> list[OutgoingRecord]:
    return [
        OutgoingRecord("any", f"key-{number}".encode(), str(number).zfill(size).encode()) for number in range(count)
    ]


def hang(until: threading.Event) -> Fault:
    """Say nothing until the event, then close the connection."""

    def wait(request: Request) -> None:
        until.wait(PATIENCE_SECONDS)
        request.reset()

    return wait


def sent(writer: RecordWriter, batch: list[OutgoingRecord]) -> InFlight:
    """Send a batch and wait until each record has its callback."""
    called = InFlight()
    for record in batch:
        writer.send(record, called)
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    assert len(called.accepted) + len(called.failed) == len(batch)
    return called


def test_records_are_kept_as_they_are_and_their_place_is_the_gateway(gateway: GatewayServer, open_writer: Open) -> None:
    record = OutgoingRecord("any", b"key", b"\xc3\x01\0", (("name", b"\xff"), ("none", None)), 1_700_000_000_123)
    called = sent(open_writer(gateway.url), [record, OutgoingRecord("any", b"k", b"v", timestamp_ms=-1)])
    assert called.accepted == [Delivery("gateway", -1, -1)] * 2
    first, second = gateway.requests[0].records
    assert first == (b"key", b"\xc3\x01\0", (("name", b"\xff"), ("none", None)), 1_700_000_000_123)
    assert second.timestamp_ms is None


def test_nothing_but_what_is_documented_is_in_the_headers(gateway: GatewayServer, open_writer: Open) -> None:
    sent(open_writer(gateway.url), records(30))
    headers = dict(gateway.requests[0].handler.headers)
    assert int(headers.pop("Content-Length")) < 900  # compressed
    assert headers == {
        "Host": gateway.url.removeprefix("http://"),
        "Accept-Encoding": "identity",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/vnd.flowise-telemetry.records",
        "Accept": "application/json",
        "User-Agent": "flowise-telemetry",
        "Content-Encoding": "gzip",
    }


def test_batches_go_in_order_over_one_connection(gateway: GatewayServer, open_writer: Open) -> None:
    called = sent(open_writer(gateway.url), records(1_700))
    assert len(called.accepted) == 1_700
    got = [record.value for request in gateway.requests for record in request.records]
    assert got == [record.value for record in records(1_700)]
    assert all(len(request.records) <= 500 for request in gateway.requests)
    assert {request.connection for request in gateway.requests} == {0}


def test_a_client_that_has_nothing_to_send_has_no_thread(gateway: GatewayServer, open_writer: Open) -> None:
    writer = open_writer(gateway.url)
    sent(writer, records(3))
    for thread in threading.enumerate():
        if thread.name == "flowise-telemetry-gateway":
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
    assert len(sent(writer, records(3)).accepted) == 3
    assert {request.connection for request in gateway.requests} == {0}


def test_a_refused_record_fails_alone(gateway: GatewayServer, open_writer: Open) -> None:
    reasons = {b"key-1": "constraint", b"key-3": "too_large"}
    gateway.refuses = lambda record: reasons.get(record.key or b"")
    called = sent(open_writer(gateway.url), records(5))
    assert len(called.accepted) == 3
    assert [(type(error), error.retryable) for error in called.failed] == [
        (DeliveryError, False),
        (MessageTooLargeError, False),
    ]
    assert "constraint: said by the test" in called.failed[0].message
    assert len(gateway.requests) == 1


def test_an_unknown_key_is_told_and_no_record_is_judged(gateway: GatewayServer, open_writer: Open) -> None:
    writer = open_writer(gateway.url, project_key="wrong-and-secret")
    called = sent(writer, records(3))
    assert [type(error) for error in called.failed] == [AuthenticationError] * 3
    assert "key_unknown" in called.failed[0].message
    assert "secret" not in called.failed[0].message
    assert len(gateway.requests) == 1
    sent(writer, records(1))
    assert len(gateway.requests) == 2  # it may be known soon


def test_a_revoked_key_is_told_once_and_a_new_one_goes_on(
    gateway: GatewayServer, open_writer: Open, tmp_path: Any
) -> None:
    file = tmp_path / "key"
    file.write_text("old-one\n")
    gateway.revoked.add("old-one")
    writer = open_writer(gateway.url, project_key_file=str(file))
    for _ in range(3):
        called = sent(writer, records(2))
        assert [type(error) for error in called.failed] == [AuthorizationError] * 2
        assert called.failed[0].message == (
            f"{gateway.url}: the project key was revoked; ask whoever runs the gateway for a new one, and give it as "
            "project_key (PROJECT_KEY, PROJECT_KEY_FILE)"
        )
    assert len(gateway.requests) == 1
    file.write_text(KEY)
    assert len(sent(writer, records(2)).accepted) == 2


def test_a_body_too_large_is_halved_until_one_record_is_alone(gateway: GatewayServer, open_writer: Open) -> None:
    gateway.max_bytes = 2_000
    batch = [*records(20, size=200), OutgoingRecord("any", b"large", bytes(3_000)), *records(20, size=200)]
    called = sent(open_writer(gateway.url), batch)
    assert len(called.accepted) == 40
    assert [type(error) for error in called.failed] == [MessageTooLargeError]
    assert sorted(gateway.stored()) == sorted(record.value or b"" for record in batch if record.key != b"large")


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_gateway_is_left_alone_for_as_long_as_it_says(
    gateway: GatewayServer, open_writer: Open, status: int
) -> None:
    gateway.faults.append(say(status, "rate_limited", "too many", Retry_After="1"))
    writer = open_writer(gateway.url)
    began = time.monotonic()
    failed = sent(writer, records(2)).failed
    assert [(type(error), error.retryable) for error in failed] == [(UnreachableError, True)] * 2
    assert "tried again in 1 s" in failed[0].message
    assert len(sent(writer, records(2)).accepted) == 2
    assert time.monotonic() - began >= 1.0
    assert len(gateway.requests) == 2


def test_what_waits_for_a_busy_gateway_has_its_delivery_timeout(gateway: GatewayServer, open_writer: Open) -> None:
    gateway.faults += [say(503, "unavailable", Retry_After="3600")] * 100
    writer = open_writer(gateway.url, options={"delivery_timeout_seconds": 0.2})
    while type(sent(writer, records(1)).failed[0]) is DeliveryTimeoutError:
        pass  # on a busy machine the answer itself takes longer
    failed = sent(writer, records(1)).failed
    assert type(failed[0]) is DeliveryTimeoutError
    assert "unavailable" in failed[0].message


@pytest.mark.parametrize(
    ("fault", "kind", "retryable", "words"),
    [
        (say(500), UnreachableError, True, "failed with status 500"),
        (say(502, "bad"), UnreachableError, True, "502 .bad."),
        (say(408), UnreachableError, True, "408"),
        (say(400, "malformed", "record 0"), DeliveryError, False, "malformed: record 0"),
        (say(415, "unsupported"), DeliveryError, False, "415"),
        (say(404), UnreachableError, False, "no gateway"),
        (say(401), UnreachableError, False, "no gateway"),
        (say(200), UnreachableError, True, "no gateway"),
        (say(302, Location="https://elsewhere.example.org/"), UnreachableError, False, "leads elsewhere"),
        (lambda request: request.answer(200, b'{"accepted": 9}'), UnreachableError, True, "account for the 2"),
        (lambda request: request.reset(), DeliveryTimeoutError, True, "closed the connection"),
        (lambda request: request.handler.wfile.write(b"SSH-2.0-x\r\n\r\n"), DeliveryTimeoutError, True, "no HTTP"),
    ],
)
def test_every_other_answer_fails_the_batch_and_the_next_one_goes(
    gateway: GatewayServer, open_writer: Open, fault: Fault, kind: type[TransportError], retryable: bool, words: str
) -> None:
    gateway.faults.append(fault)
    writer = open_writer(gateway.url)
    failed = sent(writer, records(2)).failed
    assert [(type(error), error.retryable) for error in failed] == [(kind, retryable)] * 2
    assert failed[0].message.count("\n") == 0
    with pytest.raises(TransportError, match=words):
        raise failed[0]
    assert len(sent(writer, records(2)).accepted) == 2


def test_what_waits_behind_a_failed_batch_does_not_overtake_it(gateway: GatewayServer, open_writer: Open) -> None:
    answers = threading.Event()

    def fail_late(request: Request) -> None:
        answers.wait(PATIENCE_SECONDS)
        say(500)(request)

    gateway.faults.append(fail_late)
    writer, called = open_writer(gateway.url), InFlight()
    for record in records(1_200):
        writer.send(record, called)
    answers.set()
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    assert (len(called.failed), len(gateway.requests)) == (1_200, 1)


def test_an_answer_that_is_lost_makes_the_records_come_twice(gateway: GatewayServer, open_writer: Open) -> None:
    def lose(request: Request) -> None:
        gateway.accept(request.records)
        request.reset()

    writer = open_writer(gateway.url)
    sent(writer, records(1))
    gateway.faults.append(lose)
    called = sent(writer, records(3))  # on the connection that was kept: sent again at once
    assert len(called.accepted) == 3
    assert sorted(gateway.stored()) == sorted(record.value or b"" for record in [*records(1), *records(3), *records(3)])


def test_a_kept_connection_that_was_closed_is_opened_again(gateway: GatewayServer, open_writer: Open) -> None:
    def close_after(request: Request) -> None:
        request.answer(200, encode_answer(gateway.accept(request.records)))
        request.handler.close_connection = True

    gateway.faults.append(close_after)
    writer = open_writer(gateway.url)
    for _ in range(3):
        assert len(sent(writer, records(2)).accepted) == 2
    assert [request.connection for request in gateway.requests] == [0, 1, 1]


def test_a_gateway_that_does_not_answer_bounds_flush_and_close(gateway: GatewayServer, open_writer: Open) -> None:
    answers = threading.Event()
    gateway.faults.append(hang(answers))
    writer, called = open_writer(gateway.url), InFlight()
    for record in records(3):
        writer.send(record, called)
    assert writer.flush(timeout_seconds=0.1) == 3
    began = time.monotonic()
    writer.close(timeout_seconds=0.1)
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert [type(error) for error in called.failed] == [DeliveryTimeoutError] * 3
    answers.set()


def test_a_request_is_ended_at_the_delivery_timeout(gateway: GatewayServer, open_writer: Open) -> None:
    answers = threading.Event()
    gateway.faults.append(hang(answers))
    writer = open_writer(gateway.url, options={"delivery_timeout_seconds": 0.3})
    failed = sent(writer, records(2)).failed
    assert [(type(error), error.retryable) for error in failed] == [(DeliveryTimeoutError, True)] * 2
    while not sent(writer, records(2)).accepted:
        pass  # on a busy machine an answer takes longer
    answers.set()


def test_a_slow_answer_has_its_time(gateway: GatewayServer, open_writer: Open) -> None:
    answers = threading.Event()
    gateway.faults.append(hang(answers))
    failed = sent(open_writer(gateway.url, request_timeout_seconds=0.2), records(1)).failed
    assert "no answer within 0.2 s" in failed[0].message
    answers.set()


@pytest.mark.slow
def test_a_fork_waits_for_a_look_up_of_a_name(gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, may_end = threading.Event(), threading.Event()

    def look_up(*arguments: object, **more: object) -> socket.socket:
        looks.set()
        may_end.wait(PATIENCE_SECONDS)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", look_up)
    made = connection.Connection(GatewaySettings(endpoint=gateway.url, project_key=KEY))

    def post() -> None:
        with contextlib.suppress(TransportError):
            made.post(b"", is_gzip=False, key=KEY)

    thread = threading.Thread(target=post)
    thread.start()
    assert looks.wait(PATIENCE_SECONDS)
    began = time.monotonic()
    connection._wait_for_look_ups()
    assert time.monotonic() - began >= 1.0  # no longer than that
    may_end.set()
    thread.join()
    connection._wait_for_look_ups()
    assert not connection._connecting


def test_nothing_listens_and_no_such_host(open_writer: Open) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        failed = sent(open_writer(f"http://127.0.0.1:{port}"), records(1)).failed
    assert (type(failed[0]), failed[0].retryable) == (UnreachableError, True)
    assert "refused" in failed[0].message
    unknown = sent(open_writer("https://no-such-host.invalid"), records(1)).failed[0]
    assert isinstance(unknown, UnknownHostError | UnreachableError)  # by the resolver here


def test_a_port_without_tls_is_named(gateway: GatewayServer, open_writer: Open) -> None:
    failed = sent(open_writer(gateway.url.replace("http://", "https://")), records(1)).failed
    assert isinstance(failed[0], TlsUnexpectedError | DeliveryTimeoutError | UnreachableError)


def test_a_full_buffer_and_a_record_for_a_partition_are_refused(gateway: GatewayServer, open_writer: Open) -> None:
    writer = open_writer(gateway.url, options={"buffer_bytes": 200, "max_record_bytes": 150})
    called = InFlight()
    with pytest.raises(MessageTooLargeError):
        writer.send(OutgoingRecord("any", b"k", bytes(200)), called)
    with pytest.raises(DeliveryError, match="partition"):
        writer.send(OutgoingRecord("any", b"k", b"v", partition=1), called)
    writer.send(OutgoingRecord("any", b"k", bytes(100)), called)
    with pytest.raises(BufferFullError):
        writer.send(OutgoingRecord("any", b"k", bytes(100)), called)
    assert writer.flush(timeout_seconds=PATIENCE_SECONDS) == 0
    writer.send(OutgoingRecord("any", b"k", bytes(100)), called)
    writer.close(timeout_seconds=PATIENCE_SECONDS)
    assert len(called.accepted) == 2


def test_a_key_file_that_goes_keeps_the_records(gateway: GatewayServer, open_writer: Open, tmp_path: Any) -> None:
    file = tmp_path / "key"
    with pytest.raises(ConfigurationError, match="project_key_file"):
        open_writer(gateway.url, project_key_file=str(file))
    file.write_text(KEY)
    writer = open_writer(gateway.url, project_key_file=str(file))
    assert len(sent(writer, records(1)).accepted) == 1
    file.unlink()
    failed = sent(writer, records(1)).failed
    assert not isinstance(failed[0], DeliveryError)
    assert "project_key_file" in failed[0].message
