"""Passwords that are rotated and tokens that end, under a running client."""

from __future__ import annotations

import logging
from typing import Any

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.settings import KafkaSettings
from flowise_telemetry_transport.tokens import make_token, provider_of

__all__ = ["Credentials"]

logger = logging.getLogger("flowise_telemetry.transport")


class Credentials:
    """What a client logs in with: its settings, and a new password after a login was rejected.

    The client is an argument of ``renew``: a reference from a callback to its client would keep both from being freed.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._password = settings.password
        self._rejected = False

    @property
    def config(self) -> dict[str, Any]:
        """Settings of librdkafka."""
        config: dict[str, Any] = {"error_cb": self._on_error}
        if self._password is not None:
            config["sasl.password"] = self._password
        if self._settings.token_provider is not None:
            provider, user = provider_of(self._settings.token_provider), self._settings.sasl_username

            def token(_config: str | None) -> tuple[str, float, str, dict[str, str]]:
                made = make_token(provider)
                return made.value, made.expires_at_seconds, made.principal or user or "", dict(made.extensions)

            config["oauth_cb"] = token
        return config

    def _on_error(self, error: Any) -> None:
        self._rejected |= error.name() == "_AUTHENTICATION"

    def renew(self, client: Any) -> None:
        """Give the client the password of the file, if a login was rejected since and it is another one by now."""
        if not self._rejected:
            return
        self._rejected = False
        if self._settings.sasl_password_file is None:
            return
        try:
            password = self._settings.password
        except ConfigurationError as error:  # it is being replaced
            logger.debug("librdkafka: %s", error)
            return
        if password != self._password:
            self._password = password
            client.set_sasl_credentials(self._settings.sasl_username or "", password)
