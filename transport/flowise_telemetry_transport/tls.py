"""The files of TLS, looked at before a client is: both clients' own errors name neither file nor setting."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.option_names import turns_verification_off
from flowise_telemetry_transport.settings import KafkaSettings

__all__ = ["check_tls_files", "client_context"]


def check_tls_files(settings: KafkaSettings) -> None:
    """Raise ``ConfigurationError`` that names file, setting and mend for one that cannot be used."""
    if "SSL" in settings.security_protocol:
        _ = settings.key_password  # raises for a file of it that cannot be read
        client_context(settings)


def client_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context for a connection with these settings. Raises ``ConfigurationError`` as ``check_tls_files``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    off = [name for name, text in settings.options.items() if turns_verification_off(name, text)]
    context.check_hostname = not off
    if "enable_ssl_certificate_verification" in off:
        context.verify_mode = ssl.CERT_NONE
    if settings.ssl_cafile is not None:
        _load("ssl_cafile", settings.ssl_cafile, lambda file: _load_authorities(context, file))
    else:
        context.load_default_certs()
    for name, text in settings.options.items():
        if name in ("ssl_crlfile", "ssl_crl_location"):
            _load(name, text, context.load_verify_locations)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        elif name in ("ssl_ciphers", "ssl_cipher_suites"):
            _set_ciphers(context, name, text)
    if settings.ssl_certfile is not None:
        key = settings.ssl_keyfile
        if key is not None:
            _load("ssl_keyfile", key, lambda file: None)
        # A password that is None would be asked for on the terminal.
        password = settings.key_password or ""
        _load("ssl_certfile", settings.ssl_certfile, lambda file: context.load_cert_chain(file, key, password))
    return context


def _set_ciphers(context: ssl.SSLContext, name: str, text: str) -> None:
    try:
        context.set_ciphers(text)
    except ssl.SSLError:
        raise ConfigurationError(f"{name} (KAFKA_{name.upper()}): {text!r} names no known cipher") from None


def _load_authorities(context: ssl.SSLContext, file: str) -> None:
    if Path(file).is_dir():
        context.load_verify_locations(capath=file)
    else:
        context.load_verify_locations(file)


def _load(setting: str, file: str, load: Callable[[str], None]) -> None:
    try:
        if not Path(file).is_dir():
            with Path(file).open("rb"):
                pass
        load(file)
    except ssl.SSLError as error:
        reason = error.reason or ""
        if setting == "ssl_cafile":
            why = "it holds no certificate in PEM"
        elif reason == "KEY_VALUES_MISMATCH":
            why = "the key of ssl_keyfile belongs to another certificate"
        elif "DECRYPT" in reason or "PASSWORD" in reason or reason in ("PEM_LIB", ""):
            why = (
                "the key is encrypted, and ssl_key_password (KAFKA_SSL_KEY_PASSWORD) does not open it; or it is no PEM"
            )
        else:
            why = f"certificate or key is no PEM that can be used ({reason})"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be opened"
    else:
        return
    raise ConfigurationError(f"{setting} (KAFKA_{setting.upper()}): {file}: {why}", argument=setting) from None
