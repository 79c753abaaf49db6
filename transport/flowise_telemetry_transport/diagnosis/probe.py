"""One connection, step by step; the first step that fails is the reason."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from flowise_telemetry_transport.diagnosis.certificate import secure_finding, validity
from flowise_telemetry_transport.diagnosis.finding import Finding, not_tried, ok
from flowise_telemetry_transport.diagnosis.login import is_ours_to_judge, log_in
from flowise_telemetry_transport.diagnosis.wire import ClosedError, Wire
from flowise_telemetry_transport.errors import (
    AdvertisedListenerError,
    CertificateExpiredError,
    CertificateHostError,
    ClientCertificateError,
    LoginRequiredError,
    TlsRequiredError,
    TlsUnexpectedError,
    TransportError,
    UnknownAuthorityError,
    UnknownHostError,
    UnreachableError,
)
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.tls import client_context

__all__ = ["connected", "probe"]

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_EXPIRED = {9, 10}
_OTHER_HOST = {62, 64}
_ALERTS_OF_A_CERTIFICATE = ("CERTIFICATE", "HANDSHAKE_FAILURE", "UNKNOWN_CA")

Told = Callable[[Finding], object]


@dataclass(frozen=True, slots=True)
class _Target:
    settings: KafkaSettings
    server: str
    end: float
    told: Told

    @property
    def host(self) -> str:
        return self.server.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.server.rpartition(":")[2])

    @property
    def seconds_left(self) -> float:
        return max(0.05, self.end - time.monotonic())

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=self.seconds_left)


def probe(settings: KafkaSettings, server: str, *, seconds: float, told: Told = lambda finding: None) -> None:
    """Connect to one server, as a client would, and to each broker that it names. Raises the reason that fails.

    Returns if all works; each step that does is ``told``. Nothing is read or written.
    """
    target = _Target(settings, server, time.monotonic() + seconds, told)
    with _connected(target) as wire:
        if not is_ours_to_judge(settings):
            for step in ("login", "listeners"):
                told(not_tried(step, f"a login with {settings.sasl_mechanism or 'GSSAPI'} is left to the client"))
            return
        brokers = wire.brokers()
    _tell_of_login(target)
    for host, port in brokers:
        _reach(host, port, target)
    shown = ", ".join(f"{host}:{port}" for host, port in brokers)
    told(ok("listeners", f"{server} names {shown}: reached" if brokers else f"{server} names no broker"))


@contextlib.contextmanager
def connected(settings: KafkaSettings, server: str, *, seconds: float) -> Iterator[Wire]:
    """Yield a connection that is logged in, for requests within the time. Raises as ``probe``."""
    with _connected(_Target(settings, server, time.monotonic() + seconds, lambda finding: None)) as wire:
        yield wire


def _tell_of_login(target: _Target) -> None:
    settings = target.settings
    if "SASL" in settings.security_protocol:
        user = f" as {settings.sasl_username}" if settings.sasl_username else ""
        target.told(ok("login", f"{settings.sasl_mechanism or 'GSSAPI'}{user}"))
    elif settings.ssl_certfile is not None:
        target.told(ok("login", f"by the certificate in {settings.ssl_certfile}"))
    else:
        target.told(ok("login", "none: this port takes anyone"))


@contextlib.contextmanager
def _connected(target: _Target) -> Iterator[Wire]:
    settings, server = target.settings, target.server
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(_connect(target))
        if "SSL" in settings.security_protocol:
            connection = opened.enter_context(_secured(target, connection))
            target.told(secure_finding(connection, server))
        else:
            target.told(ok("TLS", f"none ({settings.security_protocol}): all is sent in clear"))
        wire = Wire(connection)
        try:
            wire.speaks_kafka()
        except (ClosedError, OSError) as error:
            raise _silence(target, error) from error
        try:
            if "SASL" in settings.security_protocol:
                # A broker may close in place of an answer: what follows finds the connection closed.
                with contextlib.suppress(ClosedError):
                    log_in(wire, settings, server)
            yield wire
        except TimeoutError as error:
            raise UnreachableError(f"{server} takes connections and is slow to answer: the broker is busy") from error
        except (ClosedError, OSError) as error:
            if "SASL" not in settings.security_protocol:
                raise LoginRequiredError(
                    f"{server} closes the connection without a login: set security_protocol (KAFKA_SECURITY_PROTOCOL)"
                    f" to SASL_{settings.security_protocol.removeprefix('SASL_')}, with mechanism, user and password"
                ) from error
            raise UnreachableError(f"{server} closed the connection in the middle of an answer; try again") from error


def _connect(target: _Target) -> socket.socket:
    server = target.server
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))
        target.told(ok("name", f"{target.host} is {addresses}"))
        connection = target.connect()
    except socket.gaierror as error:
        raise UnknownHostError(
            f"no host {target.host} is known here: check bootstrap_servers (BOOTSTRAP_SERVERS) and the DNS"
        ) from error
    except TimeoutError as error:
        raise UnreachableError(
            f"{server} does not answer: check address and firewall (bootstrap_servers, BOOTSTRAP_SERVERS)"
        ) from error
    except OSError as error:
        raise UnreachableError(
            f"{server}: {error.strerror or error}: no broker listens there; check bootstrap_servers (BOOTSTRAP_SERVERS)"
            " and whether it runs"
        ) from error
    target.told(ok("connection", f"{server} takes connections"))
    return connection


def _secured(target: _Target, connection: socket.socket) -> ssl.SSLSocket:
    settings, server = target.settings, target.server
    connection.settimeout(target.seconds_left)
    try:
        return client_context(settings).wrap_socket(connection, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _EXPIRED:
            raise CertificateExpiredError(
                f"the certificate of {server} is out of date{_validity(target)}: renew it there, and check this"
                " machine's clock"
            ) from error
        if error.verify_code in _OTHER_HOST:
            raise CertificateHostError(
                f"the certificate of {server} is for another host than {target.host}: name the host that it is for in"
                " bootstrap_servers (BOOTSTRAP_SERVERS), or have it made for this one"
            ) from error
        raise UnknownAuthorityError(
            f"the certificate of {server} is of an authority that is not trusted here: name the authority's file as"
            " ssl_cafile (KAFKA_SSL_CAFILE)"
        ) from error
    except OSError as error:  # SSLError is one
        if _speaks_plainly(target):
            raise TlsUnexpectedError(
                f"{server} does not speak TLS: name the port for TLS, or set security_protocol"
                f" (KAFKA_SECURITY_PROTOCOL) to {settings.security_protocol.replace('SSL', 'PLAINTEXT')}"
            ) from error
        if _is_about_a_certificate(error):
            raise _client_certificate(settings, server) from error
        raise UnreachableError(f"{server} ends the TLS handshake: {_reason(error)}") from error


def _validity(target: _Target) -> str:
    try:
        with target.connect() as connection:
            return validity(connection, client_context(target.settings), target.host)
    except OSError:
        return ""


def _silence(target: _Target, error: Exception) -> TransportError:
    """Return why a connected server does not answer as a broker does."""
    settings, server = target.settings, target.server
    is_slow = isinstance(error, TimeoutError)
    if "SSL" in settings.security_protocol:
        # TLS 1.3 tells with the first answer that the certificate of the client was not taken.
        if not is_slow and (settings.ssl_certfile is None or _is_about_a_certificate(error) or _is_turned_away(target)):
            return _client_certificate(settings, server)
    elif _speaks_tls(target):
        return TlsRequiredError(
            f"{server} speaks TLS: set security_protocol (KAFKA_SECURITY_PROTOCOL) to"
            f" {settings.security_protocol.replace('PLAINTEXT', 'SSL')}, or name the port"
            " without TLS"
        )
    if is_slow:
        return UnreachableError(
            f"{server} takes connections and does not answer: the broker hangs, or what listens there is no Kafka"
            " broker; check bootstrap_servers (BOOTSTRAP_SERVERS)"
        )
    return UnreachableError(f"what listens at {server} is no Kafka broker: check bootstrap_servers (BOOTSTRAP_SERVERS)")


def _client_certificate(settings: KafkaSettings, server: str) -> ClientCertificateError:
    if settings.ssl_certfile is None:
        return ClientCertificateError(
            f"{server} asks for a certificate of the client: name it as ssl_certfile (KAFKA_SSL_CERTFILE), and its key"
            " as ssl_keyfile (KAFKA_SSL_KEYFILE)"
        )
    return ClientCertificateError(
        f"{server} does not take the certificate in {settings.ssl_certfile} (ssl_certfile, KAFKA_SSL_CERTFILE): it is"
        " out of date, or of an authority that is not trusted there"
    )


def _is_about_a_certificate(error: Exception) -> bool:
    return isinstance(error, ssl.SSLError) and any(word in (error.reason or "") for word in _ALERTS_OF_A_CERTIFICATE)


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _is_turned_away(target: _Target) -> bool:
    """Return True if the server refuses the certificate; what we send could make it reset the connection unheard."""
    try:
        with target.connect() as connection, _secured(target, connection) as secure:
            secure.settimeout(min(1.0, target.seconds_left))
            secure.recv(1)
    except (OSError, TransportError) as error:
        return _is_about_a_certificate(error)
    return False


def _speaks_plainly(target: _Target) -> bool:
    try:
        with target.connect() as connection:
            Wire(connection).speaks_kafka()
    except (ClosedError, OSError):
        return False
    return True


def _speaks_tls(target: _Target) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whether it is TLS, not whose
    try:
        with (
            target.connect() as connection,
            context.wrap_socket(connection, server_hostname=target.host),
        ):
            return True
    except ssl.SSLError as error:
        return _is_about_a_certificate(error)
    except OSError:
        return False


def _reach(host: str, port: int, target: _Target) -> None:
    there = replace(target, server=f"[{host}]:{port}" if ":" in host else f"{host}:{port}", told=lambda finding: None)
    try:
        with there.connect() as connection:
            if "SSL" in target.settings.security_protocol:
                _secured(there, connection).close()
    except OSError as error:
        raise AdvertisedListenerError(
            f"{target.server} answers, but names {host}:{port} as a broker's address, which cannot be reached from here"
            f" ({error.strerror or type(error).__name__}): mend advertised.listeners of that broker, or the network"
        ) from error
