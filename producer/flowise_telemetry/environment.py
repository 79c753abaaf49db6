"""Every environment variable that the producer reads, named once."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ALLOW_HTTP",
    "BOOTSTRAP_SERVERS",
    "CLIENT",
    "CONFIG_DIR",
    "DEBUG",
    "DISABLE",
    "DO_NOT_TRACK",
    "ENDPOINT",
    "IDS",
    "INSTANCE_SECRET",
    "INSTANCE_SECRET_FILE",
    "LOG",
    "NODE_TYPES",
    "OPT_OUTS",
    "PREFIX",
    "PROJECT_KEY",
    "PROJECT_KEY_FILE",
    "SCHEMAS",
    "SPOOL_DIR",
    "TOOL_NAMES",
    "TOPIC",
    "is_set",
    "is_yes",
    "over_file",
]

PREFIX = "FLOWISE_TELEMETRY_"

DISABLE = "DISABLE_FLOWISE_TELEMETRY"
"""Anything but empty, 0, false, no or off turns telemetry off."""

DO_NOT_TRACK = "DO_NOT_TRACK"
"""The same switch for every program that follows https://consoledonottrack.com."""

OPT_OUTS = (DISABLE, DO_NOT_TRACK)

BOOTSTRAP_SERVERS = PREFIX + "BOOTSTRAP_SERVERS"
"""``host:port[,host:port…]``. Nothing is sent while neither this nor ``ENDPOINT`` is set."""

ENDPOINT = PREFIX + "ENDPOINT"
"""``https://host``: a gateway that takes events in place of the servers, with a project key."""

PROJECT_KEY = PREFIX + "PROJECT_KEY"
"""The key that the gateway knows the app by."""

PROJECT_KEY_FILE = PREFIX + "PROJECT_KEY_FILE"
"""A file that holds the project key, read at each request."""

ALLOW_HTTP = PREFIX + "ALLOW_HTTP"
"""Let the project key travel in clear: ``http://`` to another host than loopback."""

TOPIC = PREFIX + "TOPIC"
"""The topic, ``flowise.telemetry.events`` by default."""

CLIENT = PREFIX + "CLIENT"
"""``kafka-python`` or ``librdkafka``; read by the transport, like ``FLOWISE_TELEMETRY_KAFKA_*``."""

DEBUG = PREFIX + "DEBUG"
"""Print events to stderr instead of sending them."""

SPOOL_DIR = PREFIX + "SPOOL_DIR"
"""A folder in which accepted events wait on disk until they are delivered."""

LOG = PREFIX + "LOG"
"""A file that records each delivered event with its partition and offset."""

IDS = PREFIX + "IDS"
"""``plain`` (default), or ``hashed``: ids of the app's database leave as hashes whose key changes every month."""

TOOL_NAMES = PREFIX + "TOOL_NAMES"
"""``plain`` (default), or ``off``: no name of a tool leaves."""

NODE_TYPES = PREFIX + "NODE_TYPES"
"""A file with the app's own node types, one a line, beside those of the vocabulary."""

SCHEMAS = PREFIX + "SCHEMAS"
"""A folder with events of the app's own, or ``entry-point:NAME`` of an installed package."""

CONFIG_DIR = PREFIX + "CONFIG_DIR"
"""The folder of the stored choice and the local secret, instead of the one in the user's home."""

INSTANCE_SECRET = PREFIX + "INSTANCE_SECRET"
"""The local secret itself, for containers: 16 or more characters, the same for every replica of one installation."""

INSTANCE_SECRET_FILE = PREFIX + "INSTANCE_SECRET_FILE"
"""A mounted file that holds the local secret."""

_NO = frozenset({"", "0", "false", "no", "off"})
_YES = frozenset({"1", "true", "yes", "on"})


def is_set(environ: Mapping[str, str], name: str) -> bool | None:
    """Return the state of a switch: None if missing or empty, False for 0, false, no and off, else True."""
    text = environ.get(name, "").strip().lower()
    return None if not text else text not in _NO


def is_yes(value: object) -> bool:
    """Return True for what says yes: ``True``, 1, ``"true"``, ``"yes"``, ``"on"``. All else says no."""
    try:
        return str(value).strip().lower() in _YES
    except Exception:
        return False


def over_file(environ: Mapping[str, str], env_file: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a ``.env`` file under those of the environment; a blank one there counts as not set."""
    return {**env_file, **{name: text for name, text in environ.items() if text.strip()}}
