"""Bounds of what a registry answers: confluent-kafka's client reads whatever comes, however much and however long."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["MAX_ANSWER_BYTES", "AnswerTimeoutError", "AnswerTooLargeError", "bound_answers"]

MAX_ANSWER_BYTES = 4 * 1_048_576
"""Of one answer, unpacked: a schema of ours has less than a hundredth of that."""


class AnswerTooLargeError(Exception):
    """The answer has over ``MAX_ANSWER_BYTES``; the rest of it was not read."""


class AnswerTimeoutError(Exception):
    """The answer came in parts, and did not end in time."""


def bound_answers(client: Any, *, seconds: float) -> None:
    """Have a ``SchemaRegistryClient`` raise these errors. The time is that from the request to the end of the body.

    The client has no setting for either, nor for its HTTP session, which is httpx's. A release that keeps it elsewhere
    is left as it is.
    """
    session: Any = getattr(getattr(client, "_rest_client", None), "session", None)
    if not hasattr(session, "stream"):
        return

    def request(method: str, url: str, **given: Any) -> Any:
        until = time.monotonic() + seconds
        body = bytearray()
        with session.stream(method, url, **given) as answer:
            for part in answer.iter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise AnswerTooLargeError
                if time.monotonic() > until:
                    raise AnswerTimeoutError
            return type(answer)(answer.status_code, content=bytes(body), request=answer.request)

    session.request = request
