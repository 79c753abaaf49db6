"""Settings of a ``Telemetry``, read once from its arguments, the environment and the ``.env`` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowise_telemetry import environment, found_file

if TYPE_CHECKING:
    from flowise_telemetry_transport.gateway.settings import GatewaySettings

__all__ = ["Limits", "ProducerSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of everything that can grow.

    ``buffer_max_events`` and ``buffer_max_bytes`` bound the events in memory that Kafka has not acknowledged; more are
    refused (``queue_full``). An event that is undelivered after ``max_age_seconds``, in memory or on disk, is dropped
    (``expired``). ``spool_max_bytes`` bounds the spool folder, ``ledger_max_bytes`` the ledger file together with the
    one that it replaced. For ``linger_seconds`` the sender waits for further events before it works on those that are
    there: where many small portions arrive, as at a gateway, each costs less so.
    """

    buffer_max_events: int = 20_000
    buffer_max_bytes: int = 16_777_216
    max_age_seconds: float = 604_800.0
    spool_max_bytes: int = 67_108_864
    ledger_max_bytes: int = 10_485_760
    linger_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSettings:
    """The settings of one ``Telemetry``.

    ``connection`` holds the variables that the transport reads (servers or endpoint, key, client,
    ``FLOWISE_TELEMETRY_KAFKA_*``). ``environ`` is the environment over the variables of ``.env``. The repr shows
    neither, nor servers and endpoint: they may hold passwords.
    ``passed_over`` names the variables of a ``.env`` in the working directory that have no effect. ``given`` are client
    settings of the program, which override the variables.
    """

    bootstrap_servers: str = field(repr=False)
    endpoint: str = field(repr=False)
    given_topic: str
    debug: bool
    spool_dir: Path | None
    ledger_path: Path | None
    connection: Mapping[str, str] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    passed_over: tuple[str, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def topic(self) -> str:
        """The topic that was given, else the default one."""
        # Imported here: transport takes longer to load than all that an app needs while telemetry is off.
        from flowise_telemetry_transport.topics import EVENTS_TOPIC

        return self.given_topic or EVENTS_TOPIC

    @property
    def has_somewhere(self) -> bool:
        """True if there is somewhere to send events: servers, an endpoint, or stderr."""
        return bool(self.bootstrap_servers or self.endpoint or self.debug)

    @property
    def spool_has_files(self) -> bool:
        """True if there is a spool folder with a file in it."""
        if self.spool_dir is None or self.debug:
            return False
        try:
            return any(self.spool_dir.iterdir())
        except OSError:
            return False

    def gateway(self) -> GatewaySettings:
        """Return address and key of the gateway, and the proxy to it. Raises ``ConfigurationError``."""
        from flowise_telemetry_transport.gateway.settings import GatewaySettings

        # The variables of a proxy are nobody's but the environment's: of a .env only ours are read.
        return GatewaySettings.from_env(self.connection, given=self.given, proxies=self.environ)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        env_file: Mapping[str, str],
        *,
        named: bool = False,
        passed_over: tuple[str, ...] = (),
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        kafka: Mapping[str, object] | None = None,
        endpoint: str | None = None,
        project_key: str | None = None,
        project_key_file: str | Path | None = None,
        allow_http: bool | None = None,
        spool_dir: str | Path | None = None,
        ledger_path: str | Path | None = None,
    ) -> ProducerSettings:
        """Return the settings: arguments override the environment, which overrides the ``.env`` file.

        A connection comes whole from one source, unless the program ``named`` the file. ``passed_over`` names what the
        reader of the file has left out. Servers and endpoint exclude each other: the first of arguments, environment
        and file that names either decides; one that names both is refused when the connection is made.
        """
        given = {
            environment.BOOTSTRAP_SERVERS: bootstrap_servers,
            environment.ENDPOINT: endpoint,
            environment.PROJECT_KEY: project_key,
            environment.PROJECT_KEY_FILE: None if project_key_file is None else str(project_key_file),
            environment.ALLOW_HTTP: None if allow_http is None else str(allow_http),
        }
        if not named:
            env_file, left = found_file.connection_of(environ, env_file, is_given=any(given.values()))
            passed_over = tuple(sorted({*passed_over, *left}))
        merged = environment.over_file(environ, env_file)
        _give(merged, given)
        _choose_way(merged, given, environ, env_file)
        spool = spool_dir if spool_dir is not None else merged.get(environment.SPOOL_DIR, "").strip()
        ledger = ledger_path if ledger_path is not None else merged.get(environment.LOG, "").strip()
        return cls(
            bootstrap_servers=merged.get(environment.BOOTSTRAP_SERVERS, "").strip(),
            endpoint=merged.get(environment.ENDPOINT, "").strip(),
            given_topic=topic or merged.get(environment.TOPIC, "").strip(),
            debug=bool(environment.is_set(merged, environment.DEBUG)),
            spool_dir=Path(spool) if spool else None,
            ledger_path=Path(ledger) if ledger else None,
            connection={name: text for name, text in merged.items() if name.startswith(environment.PREFIX)},
            environ=merged,
            passed_over=passed_over,
            given=dict(kafka or {}),
        )


def _give(merged: dict[str, str], given: Mapping[str, str | None]) -> None:
    """Put what the program gave over all else; a key of the environment never stands beside one that was given."""
    if given[environment.PROJECT_KEY] or given[environment.PROJECT_KEY_FILE]:
        merged.pop(environment.PROJECT_KEY, None)
        merged.pop(environment.PROJECT_KEY_FILE, None)
    merged.update({name: text for name, text in given.items() if text is not None})


def _choose_way(merged: dict[str, str], *sources: Mapping[str, str | None]) -> None:
    """Leave servers or endpoint as the first source has them that names either."""
    ways = (environment.BOOTSTRAP_SERVERS, environment.ENDPOINT)
    for source in sources:
        named = [name for name in ways if (source.get(name) or "").strip()]
        if named:
            for name in ways:
                if name not in named:
                    merged.pop(name, None)
            return
