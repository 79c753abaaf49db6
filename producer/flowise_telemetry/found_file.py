"""What a ``.env`` in the working directory may say: anyone who can write to that folder has written it."""

from __future__ import annotations

from collections.abc import Mapping

from flowise_telemetry import environment

__all__ = ["connection_of", "permitted", "warning_of"]

FOLDERS = (environment.SPOOL_DIR, environment.LOG, environment.CONFIG_DIR)
"""Variables that name a folder or file to write to."""

_KAFKA = environment.PREFIX + "KAFKA_"
_CONNECTION_PREFIXES = (_KAFKA, environment.PREFIX + "SCHEMA_REGISTRY_")
_NAMES_IT = (
    environment.BOOTSTRAP_SERVERS,
    environment.ENDPOINT,
    environment.PROJECT_KEY,  # a key is for the gateway that it was given for
    environment.PROJECT_KEY_FILE,
)
_CONNECTION = (*_NAMES_IT, environment.CLIENT)
# A file whose content would go to an endpoint that the same .env names; a protection that it would turn off.
_NOT_OURS = (environment.NODE_TYPES, environment.SCHEMAS, environment.PROJECT_KEY_FILE, environment.ALLOW_HTTP)
# The clients' settings that turn the verification of a broker off, and the values that leave it on.
_VERIFICATION = {
    "enable_ssl_certificate_verification": ("true", "1", "yes", "on"),
    "ssl_check_hostname": ("true", "1", "yes", "on"),
    "ssl_endpoint_identification_algorithm": ("https",),
}
_TOKEN_PROVIDER = "token_provider"  # noqa: S105 - the name of a setting


def permitted(values: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables that a found file may set, and the names of the others.

    It names no folder to write to and no file to send as a key or password, does not turn verification or encryption
    off, chooses no code and adds nothing to what may leave.
    """
    kept = {name: text for name, text in values.items() if _may_set(name, text)}
    return kept, tuple(sorted(name for name in values.keys() - kept.keys() if values[name].strip()))


def _may_set(name: str, text: str) -> bool:
    if name in FOLDERS or name in _NOT_OURS:
        return False
    if not name.startswith(_KAFKA):
        return True
    # Spelled as ``option_names.option_name`` does, which loads too much for here.
    setting = name.removeprefix(_KAFKA).strip().lower().replace(".", "_").replace("-", "_")
    # Of a file of a login the content is sent, as a password or an assertion, to servers that the same .env names.
    if setting == _TOKEN_PROVIDER or (setting.startswith("sasl_") and setting.endswith("_file")):
        return False
    return setting not in _VERIFICATION or text.strip().lower() in ("", *_VERIFICATION[setting])


def connection_of(
    environ: Mapping[str, str], file: Mapping[str, str], *, is_given: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a found file's variables without those of a connection that is named elsewhere, and their names.

    A connection comes from one source whole: if an argument (``is_given``) or the environment names the servers, the
    endpoint or a project key, the file sets nothing of it. A variable that says what the environment says is not named.
    """
    if not is_given and not any(environ.get(name, "").strip() for name in _NAMES_IT):
        return dict(file), ()
    kept = {name: text for name, text in file.items() if not _is_of_connection(name)}
    left = (name for name in file.keys() - kept.keys() if file[name].strip() not in ("", environ.get(name, "").strip()))
    return kept, tuple(sorted(left))


def _is_of_connection(name: str) -> bool:
    return name in _CONNECTION or name.startswith(_CONNECTION_PREFIXES)


def warning_of(path: object, names: tuple[str, ...]) -> str:
    """Return the line that says what has no effect, and what would give it one."""
    return (
        f"{path} in the working directory has no effect for {', '.join(names)}: set them in the environment, or name"
        " the file (env_file=)"
    )
