"""The WSGI app that the servers run: ``/send/NUMBER`` sends an event, ``/ping`` only answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sending import send  # type: ignore[import-not-found]  # beside it, on the path of the server


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/ping":
        send(int(environ["PATH_INFO"].rpartition("/")[2]))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
