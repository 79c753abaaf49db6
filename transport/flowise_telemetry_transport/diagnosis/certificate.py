"""The certificate that a server showed, in a line."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from flowise_telemetry_transport.diagnosis.finding import Finding, ok, warning

__all__ = ["secure_finding", "validity"]

_DAYS_BEFORE = 14
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h
_DAY_SECONDS = 86_400


def secure_finding(connection: ssl.SSLSocket, server: str) -> Finding:
    """Return version, whose certificate, of which authority, and the days that it is still good for."""
    shown: Any = connection.getpeercert()
    begin = f"{connection.version()} with {server}"
    if not shown:
        return warning("TLS", f"{begin}; its certificate is not verified", "remove the setting that turns that off")
    left = (ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()) / _DAY_SECONDS
    names = [text for _, text in shown.get("subjectAltName", ())] or [_name(shown.get("subject"))]
    says = f"{begin}; its certificate is for {', '.join(names[:4])}, by {_name(shown.get('issuer'))}"
    until = f"{says}, and ends in {left:.0f} days"
    if left < _DAYS_BEFORE:
        return warning("TLS", until, "renew it there")
    return ok("TLS", until)


def validity(connection: socket.socket, context: ssl.SSLContext, host: str) -> str:
    """Return from when to when the certificate of a server is good that is refused for its time; empty if unknown.

    All else of it is verified. Takes a new connection, and closes it.
    """
    context.verify_flags |= _NO_CHECK_TIME
    try:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            shown: Any = secured.getpeercert()
    except OSError:  # refused for another reason too
        return ""
    return f" (good from {shown['notBefore']} to {shown['notAfter']})"


def _name(parts: Any) -> str:
    """Return the common name of a subject or issuer, else its last part."""
    pairs = [pair for part in parts or () for pair in part]
    return next((text for key, text in pairs if key == "commonName"), pairs[-1][1] if pairs else "nobody")
