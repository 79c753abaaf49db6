"""Serve a gateway with uvicorn until it is asked to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowise_telemetry_gateway.serving.app import application, bounded
from flowise_telemetry_gateway.serving.idle import IdleConnections
from flowise_telemetry_gateway.serving.joined_writes import joining
from flowise_telemetry_schemas import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from flowise_telemetry_gateway.serving.gateway import Gateway

__all__ = ["bound_socket", "require_server", "serve"]

logger = logging.getLogger("flowise_telemetry.gateway")

_KEEP_ALIVE_SECONDS = 75  # longer than what usual proxies keep a connection
_DRAIN_SECONDS = 10
_LOOK_SECONDS = 0.1
_BACKLOG = 1_024
_COLLECT_AFTER = (20_000, 20, 100)


def require_server() -> None:
    """Raise ``MissingExtraError`` unless all that a gateway needs is installed."""
    for module in ("starlette", "uvicorn", "prometheus_client"):
        if find_spec(module) is None:
            raise MissingExtraError(module.replace("_", "-"), "gateway")


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one. Raises ``ConfigurationError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"{host}:{port}: {error.strerror or error}", argument="address") from None
    return bound


def serve(
    gateway: Gateway,
    bound: socket.socket,
    *,
    stop: threading.Event,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    metrics_token: bytes | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests on a bound socket until ``stop`` is set, and then those that have begun, for ten seconds.

    ``on_look`` is called ten times a second, on the loop that answers; it must be quick.

    Raises ``MissingExtraError`` without uvicorn, ``ConfigurationError`` for a certificate that cannot be used.
    """
    require_server()
    import uvicorn

    app = bounded(
        application(gateway, metrics_token=metrics_token),
        lambda: len(server.server_state.connections),
        gateway.limits.connections_max,
    )
    config = uvicorn.Config(
        app,
        ws="none",  # whatever else is installed here
        lifespan="off",
        log_config=None,
        log_level="critical",  # its lines may have addresses, and a traceback what was sent
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        ssl_certfile=tls_certificate,
        ssl_keyfile=tls_key,
        ssl_keyfile_password="-",  # noqa: S106 - no password: one would be asked for on the terminal
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        why = getattr(error, "reason", None) or error.strerror or "it cannot be used"
        raise ConfigurationError(
            f"{tls_certificate}: {why}: name PEM files with the certificate's chain and its key, without a passphrase",
            argument="tls_certificate",
        ) from None
    config.http_protocol_class = joining(config.http_protocol_class)

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave the signals to the command."""
            yield

    server = Server(config)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(_log_type)
        serving = asyncio.create_task(server.serve([bound]))
        while not server.started and not serving.done():
            await asyncio.sleep(_LOOK_SECONDS / 10)
        on_start()
        body_seconds, answer_seconds = gateway.limits.body_seconds, gateway.limits.answer_seconds
        idle = IdleConnections(
            first_seconds=body_seconds,
            seconds=_KEEP_ALIVE_SECONDS + 5,
            busy_seconds=body_seconds + answer_seconds + _DRAIN_SECONDS,
        )
        while not stop.is_set() and not serving.done():
            await asyncio.sleep(_LOOK_SECONDS)
            idle.look(list(server.server_state.connections))
            on_look()
        on_look()
        server.should_exit = True
        await serving

    with _collecting_seldom():
        asyncio.run(run())


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Have Python look for circles of garbage after some hundred requests, not after each few.

    What a request makes lives until it is answered, and leaves no circles: each look would be at all that is in hand.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _log_type(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what failed on a connection by its type: asyncio's own line may have an address."""
    logger.warning("a connection failed: %s", type(context.get("exception")).__name__)
