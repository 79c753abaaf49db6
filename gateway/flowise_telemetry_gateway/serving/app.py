"""The routes. Nothing of a request is logged: no body, no header, no address.

What takes events in is answered without a framework, which would take longer than all else; Starlette has the rest.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_gateway.serving.body import ClientLeftError, Request
from flowise_telemetry_schemas import MissingExtraError
from flowise_telemetry_transport.gateway.wire import RECORDS_PATH, encode_error

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request as StarletteRequest

    from flowise_telemetry_gateway.serving.gateway import Gateway

__all__ = ["POSTHOG_PATHS", "Asgi", "application", "bounded"]

logger = logging.getLogger("flowise_telemetry.gateway")

POSTHOG_PATHS = ("/batch/", "/batch", "/capture/", "/capture", "/e/", "/e", "/i/v0/e/", "/i/v0/e")
"""Where PostHog's clients send to."""

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
Asgi = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_Take = Callable[[Request], Awaitable[bytes]]

_LEFT = 499  # nginx's number for a client that left
_BUSY_SECONDS = 5
_JSON = (b"content-type", b"application/json")


def application(gateway: Gateway, *, metrics_token: bytes | None = None) -> Asgi:
    """Return the ASGI application. Raises ``MissingExtraError`` without Starlette."""
    taking: dict[str, tuple[str, _Take]] = {RECORDS_PATH: ("records", gateway.records)}
    taking |= dict.fromkeys(POSTHOG_PATHS, ("posthog", gateway.posthog))
    others = _others(gateway, tuple(taking), metrics_token)
    requests = gateway.counters.requests

    async def app(scope: _Message, receive: _Receive, send: _Send) -> None:
        found = taking.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await others(scope, receive, send)
            return
        route, take = found
        try:
            status, headers, body = 200, [_JSON], await take(Request(scope["headers"], receive))
        except RefusedRequestError as refused:
            status, headers, body = refusal(refused)
        except ClientLeftError:
            requests[route, _LEFT] += 1
            return
        except asyncio.CancelledError:
            requests[route, _LEFT] += 1
            raise
        except Exception as error:
            # Its text, and a traceback's, may hold what was sent.
            logger.error("a request failed: %s", type(error).__name__)  # noqa: TRY400 - see above
            status, headers, body = refusal(RefusedRequestError(500, "failed", "the gateway failed"))
        requests[route, status] += 1
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def bounded(app: Asgi, connections: Callable[[], int], most: int) -> Asgi:
    """Return the application for at most so many connections: on each that is one more it answers 503 and closes it."""

    async def answer(scope: _Message, receive: _Receive, send: _Send) -> None:
        if connections() <= most:
            await app(scope, receive, send)
            return
        refused = RefusedRequestError(503, "unavailable", "too many connections", retry_after_seconds=_BUSY_SECONDS)
        status, headers, body = refusal(refused)
        headers += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def refusal(refused: RefusedRequestError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of a refusal."""
    headers = [_JSON]
    if refused.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after_seconds))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return refused.status, headers, encode_error(refused.error, refused.message)


def _others(gateway: Gateway, post_only: tuple[str, ...], metrics_token: bytes | None) -> Starlette:
    """Return the application for probes and metrics; it says of every other path that it is not there."""
    try:
        from starlette.applications import Starlette
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError("starlette", "gateway") from error
    from flowise_telemetry_gateway.serving.metrics import metrics_text

    async def healthz(_: StarletteRequest) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(_: StarletteRequest) -> Response:
        why_not = gateway.why_not_ready()
        if why_not is None:
            return Response("ok\n", media_type="text/plain")
        return Response(f"{why_not}\n", status_code=503, media_type="text/plain")

    async def metrics(request: StarletteRequest) -> Response:
        if metrics_token is not None:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            token = given.strip().encode("latin-1", "replace")
            if kind.lower() != "bearer" or not hmac.compare_digest(token, metrics_token):
                return Response("send the token of --metrics-token-file as Authorization: Bearer\n", status_code=401)
        text, media_type = metrics_text(gateway)
        return Response(text, media_type=media_type)

    async def post(_: StarletteRequest) -> Response:
        return Response("only POST is answered\n", status_code=405, headers={"Allow": "POST"}, media_type="text/plain")

    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    methods = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app = Starlette(routes=[*routes, *(Route(path, post, methods=methods) for path in post_only)])
    app.router.redirect_slashes = False  # to an address that the request's own headers name
    return app
