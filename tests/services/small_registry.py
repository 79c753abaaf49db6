"""A schema registry in this process, as small as the tests need, which can be told to fail."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["SmallRegistry", "small_registry"]

SILENCE = -1
GARBAGE = -2


class SmallRegistry:
    """Confluent's API for Avro: ids, GUIDs, subjects, settings. ``fault`` is a status, ``SILENCE`` or ``GARBAGE``."""

    def __init__(self) -> None:
        self.url = ""
        self.fault = 0
        self.user_info: str | None = None
        self.has_guids = True
        self.refuses = False
        self.asked: list[str] = []
        self.schemas: dict[int, str] = {}
        self.guids: dict[str, int] = {}
        self.subjects: dict[str, list[int]] = {}
        self.config: dict[str, str] = {}
        self.released = threading.Event()

    def add(self, schema: Any, subject: str = "a") -> int:
        """Register a schema given as JSON or text, and return its id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        number = next((known for known, other in self.schemas.items() if other == text), len(self.schemas) + 1)
        self.schemas[number] = text
        self.guids.setdefault(str(uuid.uuid5(uuid.NAMESPACE_OID, text)), number)
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return number

    def guid_of(self, number: int) -> uuid.UUID:
        """Return the GUID of a schema."""
        return next(uuid.UUID(guid) for guid, known in self.guids.items() if known == number)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:  # noqa: PLR0911 - one for each path
        """Return status and content."""
        match method, [unquote(part) for part in path.strip("/").split("/")]:
            case "GET", ["schemas", "ids", text]:
                found = self.schemas.get(int(text))
                return (404, _error(40403)) if found is None else (200, {"schema": found})
            case "GET", ["schemas", "guids", guid] if self.has_guids:
                known = self.guids.get(guid)
                return (404, _error(40403)) if known is None else (200, {"schema": self.schemas[known], "guid": guid})
            case "GET", ["subjects"]:
                return 200, sorted(self.subjects)
            case "POST", ["subjects", subject]:
                return self._lookup(subject, body["schema"])
            case "POST", ["subjects", subject, "versions"]:
                if self.refuses:
                    return 409, _error(409)
                number = self.add(body["schema"], subject)
                return 200, {"id": number, "guid": str(self.guid_of(number))}
            case "POST", ["compatibility", "subjects", subject, "versions", _]:
                known_here = subject in self.subjects
                return (200, {"is_compatible": not self.refuses}) if known_here else (404, _error(40401))
            case "GET", ["config", subject]:
                level = self.config.get(subject)
                return (404, _error(40408)) if level is None else (200, {"compatibilityLevel": level})
            case "PUT", ["config", subject]:
                self.config[subject] = body["compatibility"]
                return 200, body
        return 404, "no such path"

    def _lookup(self, subject: str, text: str) -> tuple[int, Any]:
        if subject not in self.subjects:
            return 404, _error(40401)
        for version, number in enumerate(self.subjects[subject], 1):
            if json.loads(self.schemas[number]) == json.loads(text):
                return 200, {"subject": subject, "id": number, "version": version, "schema": self.schemas[number]}
        return 404, _error(40403)


def _error(code: int) -> dict[str, Any]:
    return {"error_code": code, "message": "so says the registry"}


@contextlib.contextmanager
def small_registry(certificate: Path | None = None) -> Iterator[SmallRegistry]:
    """Serve one on a port of its own; by TLS with a file of certificate and key."""
    registry = SmallRegistry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = urlsplit(self.path).path
            registry.asked.append(f"{self.command} {unquote(path)}")
            if registry.fault == SILENCE:
                registry.released.wait()
                return
            status, content = registry.fault, "<html>so says a proxy</html>"
            expected = base64.b64encode((registry.user_info or "").encode()).decode()
            if registry.user_info is not None and self.headers.get("Authorization") != f"Basic {expected}":
                status = 401
            elif not status:
                status, content = registry.answer(self.command, path, body)
            sent = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            with contextlib.suppress(OSError):  # whoever asked no longer waits
                self.send_response(200 if status == GARBAGE else status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certificate is not None:
        scheme, tls = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        # The handshake is the handler's, not that of the one thread that accepts.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    registry.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="small registry")
    thread.start()
    try:
        yield registry
    finally:
        registry.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
