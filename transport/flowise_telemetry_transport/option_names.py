"""Names of client settings that have a meaning of their own here, spelled with underscores.

The lists come from librdkafka's CONFIGURATION.md (2.16) and from ``DEFAULT_CONFIG`` of kafka-python-ng 2.2.3.
"""

from __future__ import annotations

import re

__all__ = [
    "CONTEXT_OPTIONS",
    "FIELD_OF_OPTION",
    "SECONDS_OF_OPTION",
    "SERVERS_OPTIONS",
    "is_code",
    "is_of_security",
    "option_name",
    "turns_verification_off",
]

CONTEXT_OPTIONS = frozenset(
    {
        "enable_ssl_certificate_verification",
        "ssl_check_hostname",
        "ssl_endpoint_identification_algorithm",
        "ssl_ciphers",
        "ssl_cipher_suites",
        "ssl_crlfile",
        "ssl_crl_location",
    }
)
"""Options that the context of a TLS connection takes in (``tls.client_context``)."""

# Names from the clients' own documentation, and the field of ``KafkaSettings`` that holds them.
FIELD_OF_OPTION = {
    "security_protocol": "security_protocol",
    "sasl_mechanism": "sasl_mechanism",
    "sasl_mechanisms": "sasl_mechanism",
    "sasl_plain_username": "sasl_username",
    "sasl_username": "sasl_username",
    "sasl_plain_password": "sasl_password",
    "sasl_password": "sasl_password",
    "sasl_plain_password_file": "sasl_password_file",
    "sasl_password_file": "sasl_password_file",
    "token_provider": "token_provider",
    "ssl_cafile": "ssl_cafile",
    "ssl_ca_location": "ssl_cafile",
    "ssl_certfile": "ssl_certfile",
    "ssl_certificate_location": "ssl_certfile",
    "ssl_keyfile": "ssl_keyfile",
    "ssl_key_location": "ssl_keyfile",
    "ssl_password": "ssl_key_password",
    "ssl_key_password": "ssl_key_password",
    "ssl_password_file": "ssl_key_password_file",
    "ssl_key_password_file": "ssl_key_password_file",
}
SECONDS_OF_OPTION = {
    "request_timeout_ms": "request_timeout_seconds",
    "connect_timeout_ms": "connect_timeout_seconds",
    "session_timeout_ms": "session_timeout_seconds",
}

SERVERS_OPTIONS = frozenset({"bootstrap_servers", "metadata_broker_list"})
"""Settings of the clients that would name other servers than ``bootstrap_servers``."""

_CODE = frozenset({
    # librdkafka: shared libraries, OpenSSL's engines and providers, commands of a shell, callbacks.
    "plugin_library_paths",
    "interceptors",
    "ssl_engine_location",
    "ssl_engine_id",
    "ssl_engine_callback_data",
    "ssl_providers",
    "sasl_kerberos_kinit_cmd",
    "opaque",
    # kafka-python: classes and objects.
    "kafka_client",
    "metric_reporters",
    "sasl_oauth_token_provider",
    "selector",
    "socket_options",
    "ssl_context",
})  # fmt: skip
# librdkafka puts these into the command line of kinit, which a shell runs.
_IN_A_COMMAND = frozenset({"sasl_kerberos_keytab", "sasl_kerberos_principal", "sasl_kerberos_service_name"})
_HARMLESS_IN_A_COMMAND = re.compile(r"[\w./@:+=,-]*", re.ASCII)
_NO = frozenset({"0", "false", "no", "off", "f", "n"})


def option_name(name: str) -> str:
    """Return a setting's name in lower case with underscores, however it was written: clients take dots for them."""
    return name.strip().lower().replace(".", "_").replace("-", "_")


def is_code(name: str, value: object) -> bool:
    """Return True if the setting loads code or runs a command, which nothing but a program's argument may choose."""
    if name in _IN_A_COMMAND:
        return _HARMLESS_IN_A_COMMAND.fullmatch(str(value)) is None
    return name in _CODE or name.endswith(("_cb", "_callback"))


def is_of_security(name: str) -> bool:
    """Return True for a setting of TLS or of a login, which has no effect on a connection in clear."""
    return name.startswith(("ssl_", "sasl_"))


def turns_verification_off(name: str, value: object) -> bool:
    """Return True if this setting lets anyone pass for the broker."""
    text = str(value).strip().lower()
    if name in ("enable_ssl_certificate_verification", "ssl_check_hostname"):
        return text in _NO
    return name == "ssl_endpoint_identification_algorithm" and text in ("none", "")
