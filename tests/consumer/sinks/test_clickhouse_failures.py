"""What a ClickHouse or the way to it refuses, as one line: by the errors that its client raises for HTTP answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flowise_telemetry_consumer.errors import SinkDeniedError, SinkError, SinkUnavailableError
from flowise_telemetry_consumer.sinks.clickhouse import open_clickhouse


@contextmanager
def answering(status: int, code: int, text: str) -> Iterator[int]:
    """Give the port of an HTTP server that answers everything by one error, as clickhouse.com/docs has them."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = f"Code: {code}. DB::Exception: {text} (version 25.8.1.1 (official build))\n".encode()
            self.send_response(status)
            self.send_header("X-ClickHouse-Exception-Code", str(code))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name of the library

        def log_message(self, *told: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(60)


def said(port: int, query: str = "secure=false") -> SinkError:
    with (
        closing(open_clickhouse(f"clickhouse://me:geheim@127.0.0.1:{port}/usage?{query}")) as sink,
        pytest.raises(SinkError) as caught,
    ):
        sink.counts()
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "expected"),
    [
        (
            *(403, 516, "me: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)", SinkDeniedError),
            "rejected the login: check user, password and database",
        ),
        (403, 497, "me: Not enough privileges. (ACCESS_DENIED)", SinkDeniedError, "refused: a grant is missing"),
        (
            *(
                403,
                497,
                "me: To execute this, it's necessary to have the grant SELECT(a, b) ON usage.t. (ACCESS_DENIED)",
            ),
            *(
                SinkDeniedError,
                "refused: the grant SELECT ON usage.t is missing: GRANT it to the role of docs/sinks.md",
            ),
        ),
        (
            404,
            81,
            "Database usage does not exist. (UNKNOWN_DATABASE)",
            SinkError,
            "UNKNOWN_DATABASE: a database is made",
        ),
        (500, 241, "Memory limit: 'geheim' (MEMORY_LIMIT_EXCEEDED)", SinkUnavailableError, "is not available: MEMORY"),
        (500, 27, "Cannot parse 'geheim' (CANNOT_PARSE_INPUT_ASSERTION_FAILED)", SinkError, "refused: CANNOT_PARSE"),
    ],
)
def test_an_answer_of_a_server_is_one_line_without_values(
    status: int, code: int, text: str, kind: type[SinkError], expected: str
) -> None:
    with answering(status, code, text) as port:
        error = said(port)
    assert type(error) is kind
    assert expected in str(error)


def test_tls_to_a_plain_port_is_told() -> None:
    with answering(400, 0, "") as port:
        error = said(port, "secure=true")
    assert isinstance(error, SinkUnavailableError)
    assert "cannot be reached: SSLError" in str(error)
    assert "speaks plain HTTP there (?secure=false)" in str(error)
