"""The registry: confluent-kafka's client behind a few questions, its errors each in one line."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from flowise_telemetry_schemas.errors import ConfigurationError, MissingExtraError, SchemaError
from flowise_telemetry_schemas.printable import printable
from flowise_telemetry_schemas.wire_format import SchemaId
from flowise_telemetry_transport.schema_registry.answers import (
    MAX_ANSWER_BYTES,
    AnswerTooLargeError,
    bound_answers,
)
from flowise_telemetry_transport.schema_registry.errors import (
    RegistryConflictError,
    RegistryDeniedError,
    RegistryError,
    RegistryUnavailableError,
)
from flowise_telemetry_transport.schema_registry.settings import RegistrySettings

__all__ = ["COMPATIBILITY", "Registry"]

logger = logging.getLogger("flowise_telemetry.transport")

COMPATIBILITY = "BACKWARD_TRANSITIVE"
"""What a subject is set to: the newest version reads the records of all earlier ones."""

_NOT_FOUND_CODES = range(40_400, 40_500)  # 40401 subject, 40402 version, 40403 schema, 40408 setting of a subject
_MAX_ID = 2**31 - 1  # ids are ints of Java
_REASON_CHARACTERS = 300

_WHOLE_ANSWER = 3  # times the time-out of a part of it

_T = TypeVar("_T")


class Registry:
    """A registry with Confluent's API. The client is imported and made by the first question.

    Each question may raise ``RegistryError`` of any class, and ``MissingExtraError``.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        self._client: Any = None

    def __repr__(self) -> str:
        return f"Registry({self.settings.shown_url!r})"

    def connect(self) -> None:
        """Import the client and make it; nothing is asked yet. Raises ``ConfigurationError``, ``MissingExtraError``."""
        if self._client is not None:
            return
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ImportError as error:
            raise MissingExtraError("confluent-kafka's client of schema registries", "registry") from error
        settings = self.settings
        given = {
            "url": settings.plain_url,
            "basic.auth.user.info": settings.login,
            "ssl.ca.location": settings.ssl_cafile,
            "ssl.certificate.location": settings.ssl_certfile,
            "ssl.key.location": settings.ssl_keyfile,
            "ssl.key.password": settings.ssl_key_password,
            "timeout": settings.timeout_seconds,
            "max.retries": 0,  # whoever asks knows better when to ask again
        }
        for danger in settings.dangers:
            logger.warning("%s", danger)
        try:
            self._client = SchemaRegistryClient({name: value for name, value in given.items() if value is not None})
            bound_answers(self._client, seconds=_WHOLE_ANSWER * settings.timeout_seconds)
        except (OSError, ValueError) as error:  # OSError: a file of a certificate, ssl.SSLError included
            raise ConfigurationError(
                f"the settings of the schema registry at {settings.shown_url} cannot be used: {type(error).__name__};"
                " check SCHEMA_REGISTRY_SSL_CAFILE, _SSL_CERTFILE and _SSL_KEYFILE"
            ) from error

    def close(self) -> None:
        """Close the client's connections."""
        if self._client is not None and hasattr(self._client, "close"):
            self._client.close()
        self._client = None

    def schema_text(self, schema_id: SchemaId) -> str:
        """Return the schema of an id or a GUID. Raises ``SchemaError`` if the registry has none."""
        if isinstance(schema_id, uuid.UUID):
            return self._by_guid(schema_id)
        if schema_id > _MAX_ID:
            # Not asked for: a registry whose ids are ints answers that there is no such path, which is an outage.
            raise SchemaError(f"the schema registry at {self.settings.shown_url} does not have schema {schema_id}")
        found = self._read(f"schema {schema_id}", lambda client: client.get_schema(schema_id))
        return self._text_of(found, f"schema {schema_id}")

    def id_of(self, subject: str, text: str) -> int:
        """Return the id under which a subject has this very schema. Raises ``SchemaError`` if it does not have it."""
        found = self._ask(f"subject {subject}", lambda client: client.lookup_schema(subject, _avro(text)))
        return self._number(getattr(found, "schema_id", None), f"subject {subject}")

    def register(self, subject: str, text: str) -> int:
        """Add a schema to a subject and return its id; the same one where it is there already."""
        found = self._ask(f"subject {subject}", lambda client: client.register_schema(subject, _avro(text)))
        return self._number(found, f"subject {subject}")

    def is_compatible(self, subject: str, text: str) -> bool:
        """Return whether the subject's setting lets this schema be its next. Raises ``SchemaError`` for no subject."""
        return self._ask(f"subject {subject}", lambda client: client.test_compatibility(subject, _avro(text))) is True

    def compatibility(self, subject: str) -> str | None:
        """Return the subject's own setting; None if it has none, and that of the registry counts."""
        try:
            found = self._ask(f"the setting of {subject}", lambda client: client.get_config(subject))
        except SchemaError:
            return None
        level = getattr(found, "compatibility_level", None) or getattr(found, "compatibility", None)
        return None if level is None else str(getattr(level, "value", level))

    def set_compatibility(self, subject: str, level: str = COMPATIBILITY) -> None:
        """Set what the subject lets be its next version."""
        from confluent_kafka.schema_registry import ConfigCompatibilityLevel, ServerConfig

        wanted = ServerConfig(compatibility=ConfigCompatibilityLevel(level))
        self._ask(f"the setting of {subject}", lambda client: client.set_config(subject, wanted))

    def _by_guid(self, guid: uuid.UUID) -> str:
        self.connect()
        if not hasattr(self._client, "get_schema_by_guid"):
            # Not of the settings: anyone may write a GUID, which must not end whoever reads it.
            raise SchemaError("this release of confluent-kafka does not look schemas up by GUID: install 2.11 or later")
        try:
            found = self._read(f"schema {guid}", lambda client: client.get_schema_by_guid(str(guid)))
        except _WrongPathError:
            # No such path: of the whole registry, or of the look-up by GUID, which not every registry has?
            with contextlib.suppress(SchemaError):  # too many subjects to be read: it is there
                self._ask("its list of subjects", lambda client: client.get_subjects())
            raise SchemaError(
                f"the schema registry at {self.settings.shown_url} cannot look a schema up by its GUID, as the header"
                " __value_schema_id asks: Confluent's can from 8.0 on; or have the producer write the id into the value"
            ) from None
        return self._text_of(found, f"schema {guid}")

    def _text_of(self, found: Any, what: str) -> str:
        text = getattr(found, "schema_str", None)
        if getattr(found, "schema_type", None) not in (None, "AVRO") and isinstance(text, str):
            raise SchemaError(f"{what} of the schema registry is not Avro")
        if not isinstance(text, str):
            raise self._unusable(what, "an answer without a schema")
        return text

    def _number(self, found: Any, what: str) -> int:
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _MAX_ID:
            raise self._unusable(what, "an answer without an id")
        return found

    def _unusable(self, what: str, why: str) -> RegistryUnavailableError:
        return RegistryUnavailableError(f"the schema registry at {self.settings.shown_url} gave {why} for {what}")

    def _read(self, what: str, question: Callable[[Any], _T]) -> _T:
        """Ask for a schema. A refusal has no meaning here, and must not end whoever reads a record with this id."""
        try:
            return self._ask(what, question)
        except RegistryConflictError as error:
            raise RegistryUnavailableError(error.message) from None

    def _ask(self, what: str, question: Callable[[Any], _T]) -> _T:
        self.connect()
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            return question(self._client)
        except SchemaRegistryError as error:
            raise self._refusal(what, error) from None
        except AnswerTooLargeError:
            raise SchemaError(
                f"the schema registry at {self.settings.shown_url} has {what} in over {MAX_ANSWER_BYTES:,} bytes"
            ) from None
        except Exception as error:  # httpx's, or whatever parsing raises for an answer that is none
            raise self._no_answer(what, error) from None

    def _refusal(self, what: str, error: Any) -> Exception:
        where = f"the schema registry at {self.settings.shown_url}"
        match error.http_status_code, error.error_code:
            case 401, _:
                return RegistryDeniedError(f"{where} refuses the login (401): check SCHEMA_REGISTRY_USER_INFO")
            case 403, _:
                return RegistryDeniedError(f"{where} does not permit to ask for {what} (403): give the user the right")
            case 404, code if code in _NOT_FOUND_CODES:
                return SchemaError(f"{where} does not have {what}")
            case (404 | 405 | 501) as status, _:
                return _WrongPathError(f"{where} has no such path ({status}): check the path in SCHEMA_REGISTRY_URL")
            case (409 | 422) as status, _:
                why = printable(" ".join(str(error.error_message).split()))[:_REASON_CHARACTERS]
                return RegistryConflictError(f"{where} refuses what is asked for {what} ({status}): {why}")
            case status, _:
                return RegistryUnavailableError(f"{where} answers with status {status} for {what}; look at its log")

    def _no_answer(self, what: str, error: Exception) -> RegistryError:
        kind, text = type(error).__name__, str(error)
        where = f"the schema registry at {self.settings.shown_url}"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return RegistryUnavailableError(
                f"{where} has a certificate that is not trusted here: name its authority as SCHEMA_REGISTRY_SSL_CAFILE"
            )
        if "SSL" in text:
            return RegistryUnavailableError(
                f"{where} gives no secure connection: is it https, and its port the right one?"
            )
        if "Timeout" in kind:
            seconds = self.settings.timeout_seconds
            return RegistryUnavailableError(f"{where} did not answer within {seconds:g} s; is it up?")
        if type(error).__module__.partition(".")[0].startswith("httpx"):
            return RegistryUnavailableError(f"{where} cannot be reached ({kind}); is it up, and the URL right?")
        return self._unusable(what, f"an answer that cannot be read ({kind})")


class _WrongPathError(RegistryUnavailableError):
    """404 without a code of the registry's: nothing of it is at this path."""


def _avro(text: str) -> Any:
    from confluent_kafka.schema_registry import Schema

    return Schema(text, "AVRO")
