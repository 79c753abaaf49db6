"""``flowise-telemetry gateway``: HTTP in, the producer's path out."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from flowise_telemetry import Limits, Telemetry
from flowise_telemetry.environment import LOG, SPOOL_DIR
from flowise_telemetry.identity.instance_id import load_secret
from flowise_telemetry_cli.commands._dry_run import DryRun
from flowise_telemetry_cli.commands._gateway_counts import report_counts
from flowise_telemetry_cli.errors import INCOMPLETE
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import (
    connection_options,
    json_option,
    kafka_settings,
    log_format_option,
    schemas_option,
    topic_option,
    umask_option,
)
from flowise_telemetry_cli.output.logging import LogFormat, start_logging
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.signals import stopped_by_signals
from flowise_telemetry_cli.systemd import Systemd
from flowise_telemetry_gateway import Gateway, GatewayCounters, GatewayLimits, ProjectKeys, serve
from flowise_telemetry_gateway.intake.forwarder import Forwarder
from flowise_telemetry_gateway.intake.posthog import PosthogIntake
from flowise_telemetry_gateway.serving.server import bound_socket, require_server
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport.http_serving import parse_http_address, read_token

__all__ = ["gateway"]

logger = logging.getLogger("flowise_telemetry.gateway")

KEYS_VARIABLE = "FLOWISE_TELEMETRY_GATEWAY_KEYS"
_STOP_SECONDS = 55.0
_CLOSE_SECONDS = 10.0
_BLOCK_SECONDS = 1.0
_LINGER_SECONDS = 0.01
_BUFFER_MAX_EVENTS = 50_000
_BUFFER_MAX_BYTES = 67_108_864


@click.command()
@umask_option
@connection_options
@topic_option
@schemas_option
@click.option(
    "--address", default="127.0.0.1:8400", show_default=True, metavar="HOST:PORT", help="Address to serve on."
)
@click.option(
    "--keys-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Project keys, one a line: [revoked] [label:] key. Read again when it changes.  [default: ${KEYS_VARIABLE}]",
)
@click.option(
    "--spool-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=SPOOL_DIR,
    show_envvar=True,
    metavar="FOLDER",
    help="Folder where events wait until Kafka has them; a request is answered once its events are there."
    "  [default: events wait in memory]",
)
@click.option(
    "--spool-max-bytes",
    type=click.IntRange(1_048_576),
    default=1_073_741_824,
    show_default=True,
    help="Maximum size of that folder.",
)
@click.option(
    "--tls-certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM file with the certificate's chain: serve HTTPS.",
)
@click.option(
    "--tls-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM file with its key, without a passphrase.  [default: it is in the certificate's file]",
)
@click.option(
    "--metrics-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with a token that clients of /metrics have to send.",
)
@click.option(
    "--body-max-bytes",
    type=click.IntRange(1_024),
    default=GatewayLimits().body_max_bytes,
    show_default=True,
    help="Maximum size of a body as it is sent.",
)
@click.option(
    "--decompressed-max-bytes",
    type=click.IntRange(1_024),
    default=GatewayLimits().decompressed_max_bytes,
    show_default=True,
    help="Maximum size of what a body unpacks to.",
)
@click.option(
    "--events-max",
    type=click.IntRange(1),
    default=GatewayLimits().events_max,
    show_default=True,
    help="Maximum events in a request.",
)
@click.option(
    "--connections-max",
    type=click.IntRange(1),
    default=GatewayLimits().connections_max,
    show_default=True,
    help="Maximum connections; further ones are answered 503.",
)
@click.option(
    "--key-rate",
    type=click.FloatRange(0),
    default=GatewayLimits().key_events_per_second,
    show_default=True,
    help="Events a second of a key; twenty times as many at once. 0: no bound.",
)
@click.option(
    "--instance-rate",
    type=click.FloatRange(0),
    default=GatewayLimits().instance_events_per_second,
    show_default=True,
    help="The same of an installation.",
)
@click.option("--dry-run", is_flag=True, help="Send nothing; print what would be kept of each event.")
@log_format_option
@json_option("Print the final counts as one JSON object.")
@pass_invocation
def gateway(
    invocation: Invocation,
    *,
    topic: str,
    address: str,
    keys_file: Path | None,
    spool_dir: Path | None,
    spool_max_bytes: int,
    tls_certificate: Path | None,
    tls_key: Path | None,
    metrics_token_file: Path | None,
    body_max_bytes: int,
    decompressed_max_bytes: int,
    events_max: int,
    connections_max: int,
    key_rate: float,
    instance_rate: float,
    dry_run: bool,
    log_format: LogFormat,
    as_json: bool,
) -> int:
    """Take events in over HTTP and send them to Kafka, until SIGTERM or Ctrl-C.

    POST /v1/records takes the records of our own producers, which set FLOWISE_TELEMETRY_ENDPOINT; /batch/, /capture/,
    /e/ and /i/v0/e/ take what PostHog's clients send. Both need a project key. What no schema names is dropped and
    counted. Without a broker, events wait in the spool, and records with those who send them. Needs the extra gateway.

    \b
    Example:
      flowise-telemetry gateway --bootstrap-servers localhost:9092 --keys-file keys --spool-dir spool
    """
    require_server()
    host, port = parse_http_address(address, example="127.0.0.1:8400", argument="address")
    if tls_key is not None and tls_certificate is None:
        raise ConfigurationError("a key without a certificate: give --tls-certificate too", argument="tls_key")
    token = None if metrics_token_file is None else read_token(metrics_token_file, argument="metrics_token_file")
    keys = ProjectKeys(os.environ.get(KEYS_VARIABLE, ""), file=keys_file)
    limits = GatewayLimits(
        body_max_bytes=body_max_bytes,
        decompressed_max_bytes=decompressed_max_bytes,
        events_max=events_max,
        connections_max=connections_max,
        key_events_per_second=key_rate,
        instance_events_per_second=instance_rate,
    )
    start_logging(log_format, invocation.log_level or "info")
    environ = {**os.environ, **invocation.connection}
    counters = GatewayCounters()
    own = None if invocation.own_events is None else invocation.own_events.place
    with ExitStack() as opened:
        stop = opened.enter_context(stopped_by_signals(bound_seconds=_STOP_SECONDS))
        forwarder = None
        shown = DryRun(invocation.catalog) if dry_run else None
        if shown is not None:
            telemetry = Telemetry(
                app_version="0.0.0",
                environ={name: text for name, text in environ.items() if name not in (SPOOL_DIR, LOG)},
                writer_factory=lambda: shown,
                schemas=own,
            )
        else:
            kafka = kafka_settings(invocation)
            telemetry = Telemetry(
                app_version="0.0.0",  # every event that is relayed has its own
                bootstrap_servers=kafka.servers_text,
                topic=topic,
                environ=environ,
                spool_dir=spool_dir,
                limits=Limits(
                    buffer_max_events=_BUFFER_MAX_EVENTS,
                    buffer_max_bytes=_BUFFER_MAX_BYTES,
                    spool_max_bytes=spool_max_bytes,
                    linger_seconds=_LINGER_SECONDS,
                ),
                first_run_notice=False,
                schemas=own,
            )
            open_writer = partial(
                invocation.open_writer,
                kafka,
                delivery_timeout_seconds=limits.answer_seconds,
                block_seconds=_BLOCK_SECONDS,
            )
            forwarder = Forwarder(topic, open_writer, answer_seconds=limits.answer_seconds)
            opened.callback(forwarder.close, _CLOSE_SECONDS)
        opened.callback(telemetry.close, timeout_seconds=_CLOSE_SECONDS)
        if not telemetry.consent.enabled:
            echo(f"error: telemetry is off ({telemetry.consent.decided_by}): nothing is taken in", err=True)
            return INCOMPLETE
        bound = bound_socket(host, port)
        opened.callback(bound.close)
        served = Gateway(
            telemetry=telemetry,
            intake=PosthogIntake(
                telemetry,
                load_secret(environ),
                counters,
                on_dropped=None if shown is None else shown.dropped,
                schemas=invocation.catalog,
            ),
            forwarder=forwarder,
            keys=keys,
            limits=limits,
            counters=counters,
            waits_for_disk=spool_dir is not None and not dry_run,
            schemas=invocation.catalog,
        )
        where = f"http{'s' if tls_certificate else ''}://{host}:{bound.getsockname()[1]}"
        serve(
            served,
            bound,
            stop=stop,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            metrics_token=token,
            on_look=Systemd(environ, why_not_ready=served.why_not_ready, stop=stop).look,
            on_start=lambda: logger.info("serving %s; project keys: %d", where, len(keys)),
        )
    return report_counts(counters, telemetry, as_json)
