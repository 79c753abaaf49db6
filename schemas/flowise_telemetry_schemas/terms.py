"""The terms on which an event is collected: ``event.toml`` beside its versions.

Unlike a schema they may change after a release: a question is answered, a date is renewed after a review.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from flowise_telemetry_schemas.catalog import Catalog
from flowise_telemetry_schemas.errors import SchemaError
from flowise_telemetry_schemas.problem import Problem

__all__ = ["TERMS_FILE", "EventTerms", "read_terms", "terms_of", "terms_problems", "terms_warnings"]

TERMS_FILE = "event.toml"

_TEXTS = ("question", "owner", "review")
_MOST = timedelta(days=731)
_WARNED = timedelta(days=30)
_RELEASE = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class EventTerms:
    """What is decided with an event, who answers for it, where it was discussed, and when it ends.

    ``expires`` is a release of the package, such as ``1.0.0``, or the first day on which the event is not sent.
    """

    question: str
    owner: str
    review: str
    expires: str | date

    @property
    def end(self) -> str:
        """The end in words: ``release 1.0.0``, or the day."""
        return f"release {self.expires}" if isinstance(self.expires, str) else str(self.expires)

    def retired_from_ms(self, release: str) -> int | None:
        """Return the end in milliseconds since 1970: 0 if ``release`` is past it, None if there is none yet."""
        if isinstance(self.expires, date):
            return int(datetime.combine(self.expires, time(), UTC).timestamp() * 1000)
        return 0 if _numbers(release) >= _numbers(self.expires) else None


def read_terms(text: str, *, event: str) -> EventTerms:
    """Read the text of an ``event.toml``. Raises ``SchemaError`` for what is missing, unknown or no release or date."""
    import tomllib

    try:
        given = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError(f"{event}/{TERMS_FILE}: not TOML: {error}", event=event) from error
    unknown = given.keys() - {*_TEXTS, "expires"}
    if unknown:
        raise SchemaError(f"{event}/{TERMS_FILE}: unknown key {min(unknown)}", event=event)
    texts = {key: value.strip() for key in _TEXTS if isinstance(value := given.get(key), str) and value.strip()}
    if missing := [key for key in _TEXTS if key not in texts]:
        what = f"{missing[0]} is" if len(missing) == 1 else f"{', '.join(missing)} are"
        raise SchemaError(f"{event}/{TERMS_FILE}: {what} missing", event=event)
    return EventTerms(**texts, expires=_expires(given.get("expires"), event))


def _expires(value: object, event: str) -> str | date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _RELEASE.fullmatch(value):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        message = f"{event}/{TERMS_FILE}: expires must be a release, such as 1.0.0, or a day, such as 2027-06-30"
        raise SchemaError(message, event=event) from None


def terms_of(schemas: Catalog, event: str) -> EventTerms:
    """Return the terms of an event. Raises ``SchemaError`` if it has none."""
    text = schemas.text_beside(event, TERMS_FILE)
    if text is None:
        raise SchemaError(f"{event}/{TERMS_FILE} is missing: it says why the event is collected", event=event)
    return read_terms(text, event=event)


def terms_problems(schemas: Catalog, *, today: date, release: str) -> list[Problem]:
    """Return what keeps the events of a catalog from being collected on this day and in this release."""
    return list(_problems(schemas, today, release))


def _problems(schemas: Catalog, today: date, release: str) -> Iterator[Problem]:
    for event in schemas.names:
        try:
            terms = terms_of(schemas, event)
        except SchemaError as error:
            yield Problem(event, error.message.removeprefix(f"{event}/"))
            continue
        if isinstance(terms.expires, date):
            if terms.expires <= today:
                yield Problem(event, f"expired on {terms.expires}: it is not sent; renew it after a review")
            elif terms.expires > today + _MOST:
                yield Problem(event, f"expires on {terms.expires}, more than two years from now")
        elif terms.retired_from_ms(release) is not None:
            yield Problem(event, f"expired with release {terms.expires}: it is not sent; renew it after a review")


def terms_warnings(schemas: Catalog, *, today: date) -> list[str]:
    """Return one line for each event that expires within 30 days."""
    found = []
    for event in schemas.names:
        try:
            expires = terms_of(schemas, event).expires
        except SchemaError:
            continue  # told as a problem
        if isinstance(expires, date) and today < expires <= today + _WARNED:
            found.append(f"{event} expires in {(expires - today).days} days, on {expires}")
    return found


def _numbers(release: str) -> tuple[int, ...]:
    """Return the numbers of a release; a pre-release counts as the release itself."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", release)[:3])
