"""The routes, on Starlette. Nothing of a request is logged: no body, no header, no address."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from flowise_telemetry_gateway.refusal import RefusedRequestError
from flowise_telemetry_schemas import MissingExtraError
from flowise_telemetry_transport.gateway.wire import RECORDS_PATH, encode_error

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from flowise_telemetry_gateway.serving.gateway import Gateway

__all__ = ["POSTHOG_PATHS", "application"]

logger = logging.getLogger("flowise_telemetry.gateway")

POSTHOG_PATHS = ("/batch", "/capture", "/e", "/i/v0/e")
"""Where PostHog's clients send to, with or without a slash at the end."""

_Take = Callable[[Any], Awaitable[bytes]]


def application(gateway: Gateway, *, metrics_token: bytes | None = None) -> Starlette:
    """Return the ASGI application. Raises ``MissingExtraError`` without Starlette or prometheus-client."""
    try:
        from starlette.applications import Starlette
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError("starlette", "gateway") from error
    from flowise_telemetry_gateway.serving.metrics import metrics_text

    requests = gateway.counters.requests

    def taking(route: str, take: _Take) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                response = Response(await take(request), media_type="application/json")
            except RefusedRequestError as refused:
                response = _refusal(refused)
            except (ClientDisconnect, asyncio.CancelledError):
                requests[route, 499] += 1
                raise
            except Exception as error:
                # Its text, and a traceback's, may hold what was sent.
                logger.error("a request failed: %s", type(error).__name__)  # noqa: TRY400 - see above
                response = _refusal(RefusedRequestError(500, "failed", "the gateway failed"))
            requests[route, response.status_code] += 1
            return response

        return endpoint

    def _refusal(refused: RefusedRequestError) -> Response:
        headers = {}
        if refused.retry_after_seconds is not None:
            headers["retry-after"] = str(refused.retry_after_seconds)
        if refused.status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(
            encode_error(refused.error, refused.message),
            status_code=refused.status,
            headers=headers,
            media_type="application/json",
        )

    async def healthz(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def readyz(_: Request) -> Response:
        why_not = gateway.why_not_ready()
        if why_not is None:
            return Response("ok\n", media_type="text/plain")
        return Response(f"{why_not}\n", status_code=503, media_type="text/plain")

    async def metrics(request: Request) -> Response:
        if metrics_token is not None:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            token = given.strip().encode("latin-1", "replace")
            if kind.lower() != "bearer" or not hmac.compare_digest(token, metrics_token):
                return _refusal(RefusedRequestError(401, "token_missing", "send the token of --metrics-token-file"))
        text, media_type = metrics_text(gateway)
        return Response(text, media_type=media_type)

    routes = [Route(RECORDS_PATH, taking("records", gateway.records), methods=["POST"])]
    for path in POSTHOG_PATHS:
        endpoint = taking("posthog", gateway.posthog)
        routes += [Route(path + end, endpoint, methods=["POST"]) for end in ("/", "")]
    routes += [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    return Starlette(routes=routes)
