"""The certificate that a server showed, in a line."""

from __future__ import annotations

import ssl
import time
from typing import Any

from flowise_telemetry_transport.diagnosis.finding import Finding, ok, warning

__all__ = ["secure_finding"]

_DAYS_BEFORE = 14
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


def _name(parts: Any) -> str:
    """Return the common name of a subject or issuer, else its last part."""
    pairs = [pair for part in parts or () for pair in part]
    return next((text for key, text in pairs if key == "commonName"), pairs[-1][1] if pairs else "nobody")
