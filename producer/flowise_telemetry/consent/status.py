"""The state of telemetry, as ``flowise-telemetry status`` shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowise_telemetry.app_version import normalized_version
from flowise_telemetry.consent.decision import decide
from flowise_telemetry.consent.env_file import read_env_file
from flowise_telemetry.consent.stored_choice import choice_path
from flowise_telemetry.identity.instance_id import InstanceId, find_secret, secret_path
from flowise_telemetry.settings import ProducerSettings
from flowise_telemetry_transport.masking import mask_endpoint, mask_servers

__all__ = ["Status", "status", "why_no_connection"]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of telemetry for a working directory and an environment.

    ``enabled`` tells if events may be sent, ``decided_by`` who decided that. ``active`` is False also if a
    ``Telemetry`` would have nowhere to send (no servers, no endpoint, no debug). ``instance_id`` is this month's; None
    while there is no local secret. ``spooled_events`` counts those in ``spool_dir`` that ended processes left.
    ``app_version`` is the given one as the schemas take it; None if none was given, or if it is no version: then
    nothing is sent.
    ``passed_over`` names the variables of a ``.env`` in the working directory that have no effect.
    """

    enabled: bool
    decided_by: str
    active: bool
    bootstrap_servers: str
    endpoint: str
    topic: str
    debug: bool
    env_file: Path
    choice_file: Path | None
    secret_file: Path | None
    instance_id: str | None
    spool_dir: Path | None
    spooled_events: int
    ledger: Path | None
    app_version: str | None
    passed_over: tuple[str, ...]


def status(
    *,
    environ: Mapping[str, str] | None = None,
    env_file: str | Path | None = None,
    app_version: str | None = None,
) -> Status:
    """Return the state of a ``Telemetry(app_version=…)`` created here. Creates no file and connects to nothing."""
    environ = os.environ if environ is None else environ
    file = read_env_file(env_file)
    consent = decide(environ, lambda: file)
    settings = ProducerSettings.read(environ, file.values, named=file.named, passed_over=file.passed_over)
    version = normalized_version(app_version)
    secret = find_secret(settings.environ)
    return Status(
        enabled=consent.enabled,
        decided_by=consent.decided_by,
        active=consent.enabled and settings.has_somewhere and (app_version is None or version is not None),
        bootstrap_servers=mask_servers(settings.bootstrap_servers),
        endpoint=mask_endpoint(settings.endpoint) if settings.endpoint else "",
        topic=settings.topic,
        debug=settings.debug,
        env_file=file.path,
        choice_file=choice_path(settings.environ),
        secret_file=secret_path(settings.environ),
        instance_id=None if secret is None else InstanceId(secret).at(time.time_ns() // 1_000_000),
        spool_dir=settings.spool_dir,
        spooled_events=_spooled(settings.spool_dir),
        ledger=settings.ledger_path,
        app_version=version,
        passed_over=settings.passed_over,
    )


def why_no_connection(*, environ: Mapping[str, str] | None = None, env_file: str | Path | None = None) -> str | None:
    """Connect and log in as a ``Telemetry`` created here would, for at most a few seconds; None if that works.

    Otherwise the reason. Nothing is sent; nothing is connected while telemetry is off or has neither servers nor
    endpoint.
    """
    from flowise_telemetry_schemas.errors import ConfigurationError, TelemetryError
    from flowise_telemetry_transport.diagnosis.explain import diagnose
    from flowise_telemetry_transport.settings import KafkaSettings

    environ = os.environ if environ is None else environ
    file = read_env_file(env_file)
    if not (consent := decide(environ, lambda: file)).enabled:
        return f"not tried: telemetry is off ({consent.decided_by})"
    settings = ProducerSettings.read(environ, file.values, named=file.named, passed_over=file.passed_over)
    reason: TelemetryError | None
    try:
        if settings.endpoint:
            from flowise_telemetry_transport.gateway.check import why_unusable

            reason = why_unusable(settings.gateway())
        else:
            reason = diagnose(KafkaSettings.from_env(settings.connection))
    except ConfigurationError as error:
        return str(error)
    return None if reason is None else str(reason)


def _spooled(folder: Path | None) -> int:
    if folder is None:
        return 0
    from flowise_telemetry.spool.files import spooled_events

    return spooled_events(folder)
