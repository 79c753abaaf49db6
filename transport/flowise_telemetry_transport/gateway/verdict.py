"""The meaning of an answer: what became of the records, or what is to be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowise_telemetry_transport.errors import (
    AuthenticationError,
    AuthorizationError,
    DeliveryError,
    MessageTooLargeError,
    TransportError,
    UnreachableError,
)
from flowise_telemetry_transport.gateway.wire import Answer, Refusal, WireError, decode_answer, decode_error

__all__ = ["Response", "Verdict", "refusal_error", "verdict_of"]

_BUSY = {429, 503}
_TOO_LARGE = 413
_NOT_SAID_SECONDS = 5.0
_LONGEST_HOLD_SECONDS = 3600.0
_REVOKED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Response:
    """An answer as it came; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either ``answer``, or ``error``: no record was taken.

    ``splits``: send the batch in two halves. ``hold_seconds``: send nothing for so long. ``by_key``: that holds for
    this project key only.
    """

    answer: Answer | None = None
    error: TransportError | None = None
    splits: bool = False
    hold_seconds: float = 0.0
    by_key: bool = False


def verdict_of(response: Response, *, sent: int, shown: str) -> Verdict:
    """Return the meaning of the answer to a batch of ``sent`` records; ``shown`` is the gateway's address."""
    status = response.status
    if status == 200:
        try:
            return Verdict(decode_answer(response.body, sent=sent))
        except WireError as error:
            return Verdict(error=_no_gateway(shown, f"its answer is no gateway's ({error})", retryable=True))
    name, message = decode_error(response.body)
    said = f"{name}: {message}" if name and message else name or message
    if status in (401, 403):
        return _of_the_key(status, name, said, shown)
    if status == _TOO_LARGE:
        too_large = MessageTooLargeError(f"{shown} takes no record as large as this one{_in_brackets(said)}")
        return Verdict(error=too_large, splits=sent > 1)
    if status in _BUSY:
        why = "takes no more for the moment" if status == 429 else "cannot take records for the moment"
        hold = _retry_after(response.headers)
        text = f"{shown} {why}{_in_brackets(said)}; tried again in {hold:.0f} s"
        return Verdict(error=UnreachableError(text), hold_seconds=hold)
    return Verdict(error=_failure(status, name, said, shown))


def _failure(status: int, name: str, said: str, shown: str) -> TransportError:
    if status == 408 or status >= 500:
        return UnreachableError(f"{shown} failed with status {status}{_in_brackets(said)}; tried again")
    if 400 <= status < 500 and name:
        return DeliveryError(f"{shown} refuses the request with status {status} ({said})")
    leads = ", which leads elsewhere: name the address that it leads to" if 300 <= status < 400 else ""
    return _no_gateway(shown, f"it answers with status {status}{leads}", retryable=False)


def refusal_error(refusal: Refusal, shown: str) -> DeliveryError:
    """Return the error of a record that was refused for good."""
    kind = MessageTooLargeError if refusal.reason == "too_large" else DeliveryError
    return kind(f"{shown} refuses this record ({refusal.reason}{': ' * bool(refusal.message)}{refusal.message})")


def _of_the_key(status: int, name: str, said: str, shown: str) -> Verdict:
    if not name:
        return Verdict(error=_no_gateway(shown, f"it answers with status {status}", retryable=False))
    setting = "project_key (PROJECT_KEY, PROJECT_KEY_FILE)"
    if name == "key_revoked":
        mend = f"ask whoever runs the gateway for a new one, and give it as {setting}"
        text = f"{shown}: the project key was revoked; {mend}"
    else:
        text = f"{shown} does not take the project key{_in_brackets(said)}; check {setting}"
    kind = AuthenticationError if status == 401 else AuthorizationError
    hold = _REVOKED_SECONDS if name == "key_revoked" else 0.0
    return Verdict(error=kind(text), hold_seconds=hold, by_key=True)


def _no_gateway(shown: str, why: str, *, retryable: bool) -> UnreachableError:
    return UnreachableError(
        f"what answers at {shown} is no gateway: {why}; check endpoint (ENDPOINT) and proxy", retryable=retryable
    )


def _in_brackets(said: str) -> str:
    return f" ({said})" if said else ""


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_HOLD_SECONDS) if text.isdecimal() and len(text) < 10 else _NOT_SAID_SECONDS
