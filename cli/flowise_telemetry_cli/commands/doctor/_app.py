"""From the side of an app: its settings and consent, and what takes its events."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from flowise_telemetry import environment
from flowise_telemetry.consent.decision import decide
from flowise_telemetry.consent.env_file import read_env_file
from flowise_telemetry.found_file import warning_of
from flowise_telemetry.identity.instance_id import find_secret, secret_path
from flowise_telemetry.settings import Limits, ProducerSettings
from flowise_telemetry_cli.commands.doctor._cluster import SECONDS, look_at_cluster
from flowise_telemetry_cli.commands.doctor._course import Course
from flowise_telemetry_cli.commands.doctor._settings import look_at_named_registry, look_at_settings
from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_schemas import ConfigurationError
from flowise_telemetry_transport import KafkaSettings
from flowise_telemetry_transport.diagnosis.disk import look_at_folder
from flowise_telemetry_transport.diagnosis.finding import Finding, failed, ok, warning
from flowise_telemetry_transport.diagnosis.topics import Needs

__all__ = ["look_at_app"]


def look_at_app(
    course: Course,
    invocation: Invocation,
    *,
    env_file: Path | None,
    typed: Mapping[str, str],
    option_of: Callable[[str], str | None],
) -> None:
    """Look as a ``Telemetry`` that is made here, with the variables that options set. Off connects to nothing."""
    file = read_env_file(env_file)
    settings = ProducerSettings.read(
        {**os.environ, **typed},
        file.values,
        named=file.named,
        passed_over=file.passed_over,
        bootstrap_servers=typed.get(environment.BOOTSTRAP_SERVERS),
    )

    def origin_of(name: str) -> str:
        return option_of(name) or ("environment" if os.environ.get(name, "").strip() else str(file.path))

    shown = {**({} if settings.endpoint else {environment.TOPIC: settings.topic}), **settings.connection}
    course.add(look_at_settings(shown, lambda name: origin_of(name) if name in settings.connection else "default"))
    if settings.passed_over:
        course.add([warning("setting", warning_of(file.path, settings.passed_over))])
    consent = decide(os.environ, lambda: file)
    if not consent.enabled:
        course.add([warning("consent", f"telemetry is off ({consent.decided_by}): nothing is sent")])
        course.skip("telemetry is off", "connection")
        return
    course.add([ok("consent", f"telemetry is on ({consent.decided_by})")])
    if settings.debug:
        course.add([warning("consent", f"{environment.DEBUG} is set: events are printed to stderr instead of sent")])
    _look_at_way(course, settings, invocation)
    _look_at_folders(course, settings)
    course.add([_secret_finding(settings)])


def _look_at_way(course: Course, settings: ProducerSettings, invocation: Invocation) -> None:
    if not settings.bootstrap_servers and not settings.endpoint:
        nowhere = f"neither {environment.BOOTSTRAP_SERVERS} nor {environment.ENDPOINT} is set: nothing is sent"
        course.add([failed("settings", nowhere, "set one of them")])
        course.skip("there is nowhere to send to", "connection")
        return
    try:
        if settings.endpoint:
            from flowise_telemetry_transport.gateway.look import look_at_gateway

            gateway = settings.gateway()
            course.take("gateway", SECONDS, lambda seconds: look_at_gateway(gateway, seconds=seconds))
        else:
            kafka = KafkaSettings.from_env(settings.connection)
            look_at_cluster(course, kafka, Needs(settings.topic, ("Write",)), invocation)
    except ConfigurationError as error:
        course.add([failed("settings", error)])
        course.skip("the settings cannot be used", "connection")
    look_at_named_registry(course, settings.connection, settings.topic, invocation.catalog)


def _look_at_folders(course: Course, settings: ProducerSettings) -> None:
    spool, ledger = settings.spool_dir, settings.ledger_path
    if spool is not None:
        course.add(look_at_folder("spool", spool, wanted_bytes=Limits().spool_max_bytes))
    if ledger is not None:
        course.add(look_at_folder("ledger", ledger.absolute().parent, wanted_bytes=Limits().ledger_max_bytes))


def _secret_finding(settings: ProducerSettings) -> Finding:
    """Return whether the installation keeps its local secret, and with it its id, from one start to the next."""
    if find_secret(settings.environ) is not None:
        return ok("local secret", "there is one, so that each start is of the same installation")
    path = secret_path(settings.environ)
    if path is not None and all(each.state == "ok" for each in look_at_folder("", path.parent, wanted_bytes=0)):
        return ok("local secret", f"{path} is made at the first start")
    return warning(
        "local secret",
        f"none can be kept in {path or 'a home folder, which this user does not have'}: each start counts as an"
        " installation of its own",
        f"set {environment.INSTANCE_SECRET_FILE}",
    )
