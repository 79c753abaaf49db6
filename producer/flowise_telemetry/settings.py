"""Settings of a ``Telemetry``, read once from its arguments, the environment and the ``.env`` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowise_telemetry import environment, found_file

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

    ``kafka`` holds the variables that the transport reads (servers, client, ``FLOWISE_TELEMETRY_KAFKA_*``). ``environ``
    is the environment over the variables of ``.env``. The repr shows neither, nor the servers: they may hold passwords.
    ``passed_over`` names the variables of a ``.env`` in the working directory that have no effect. ``given`` are client
    settings of the program, which override the variables.
    """

    bootstrap_servers: str = field(repr=False)
    given_topic: str
    debug: bool
    spool_dir: Path | None
    ledger_path: Path | None
    kafka: Mapping[str, str] = field(repr=False)
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
    def spool_has_files(self) -> bool:
        """True if there is a spool folder with a file in it."""
        if self.spool_dir is None or self.debug:
            return False
        try:
            return any(self.spool_dir.iterdir())
        except OSError:
            return False

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
        spool_dir: str | Path | None = None,
        ledger_path: str | Path | None = None,
    ) -> ProducerSettings:
        """Return the settings: arguments override the environment, which overrides the ``.env`` file.

        A connection comes whole from one source, unless the program ``named`` the file. ``passed_over`` names what the
        reader of the file has left out.
        """
        if not named:
            env_file, left = found_file.connection_of(environ, env_file, servers_given=bool(bootstrap_servers))
            passed_over = tuple(sorted({*passed_over, *left}))
        merged = environment.over_file(environ, env_file)
        if bootstrap_servers is not None:
            merged[environment.BOOTSTRAP_SERVERS] = bootstrap_servers
        spool = spool_dir if spool_dir is not None else merged.get(environment.SPOOL_DIR, "").strip()
        ledger = ledger_path if ledger_path is not None else merged.get(environment.LOG, "").strip()
        return cls(
            bootstrap_servers=merged.get(environment.BOOTSTRAP_SERVERS, "").strip(),
            given_topic=topic or merged.get(environment.TOPIC, "").strip(),
            debug=bool(environment.is_set(merged, environment.DEBUG)),
            spool_dir=Path(spool) if spool else None,
            ledger_path=Path(ledger) if ledger else None,
            kafka={name: text for name, text in merged.items() if name.startswith(environment.PREFIX)},
            environ=merged,
            passed_over=passed_over,
            given=dict(kafka or {}),
        )
