"""Telemetry's variables in a ``.env`` file, read without touching ``os.environ``."""

from __future__ import annotations

import io
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowise_telemetry import environment

__all__ = ["EnvFile", "read_env_file"]

logger = logging.getLogger("flowise_telemetry")

MAX_FILE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Telemetry's variables in a file; all others are discarded.

    ``unreadable_opt_out`` describes the place of a possible opt-out that could not be read: the whole file, or a broken
    line that names one. Doubt counts as an opt-out.
    """

    path: Path
    values: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a password
    unreadable_opt_out: str | None = None


def read_env_file(path: str | Path | None) -> EnvFile:
    """Read the given file, or ``.env`` in the working directory; a missing file is empty.

    Lines that are not ``NAME=value`` are skipped, with one WARNING for the file. Values are literal: ``$NAME`` is not
    expanded. The null device counts as empty under any name, because containers mount it over files to hide them.
    Anything else than a regular file of at most 1 MiB is not read, so this never blocks on a pipe.
    """
    file = Path(path) if path is not None else Path(".env")
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path is not None:
            logger.warning("telemetry: env_file %s does not exist", file)
        return EnvFile(file)
    except (OSError, ValueError):
        return EnvFile(file, unreadable_opt_out=f"{file} cannot be read")
    if stat.S_ISDIR(status.st_mode) or _is_null_device(status):
        return EnvFile(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        return EnvFile(file, unreadable_opt_out=f"{file} is not a regular file of at most 1 MiB")
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return EnvFile(file, unreadable_opt_out=f"{file} cannot be read")
    return _parse(file, text)


def _is_null_device(status: os.stat_result) -> bool:
    if not stat.S_ISCHR(status.st_mode):
        return False
    try:
        return Path(os.devnull).stat().st_rdev == status.st_rdev
    except OSError:
        return False


def _parse(file: Path, text: str) -> EnvFile:
    # Imported only if there is a file: it takes longer to load than this whole package. dotenv_values, the documented
    # way in, logs a WARNING for each bad line and does not say which lines were bad; the module dotenv.parser does, but
    # python-dotenv does not document it. If a release renames parse_stream or the attributes of a Binding (key, value,
    # original.string, original.line, error), every app with a .env file fails here, in Telemetry(); the tests of broken
    # files in tests/producer/consent would show it before a release of ours allows that one.
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    unreadable: str | None = None
    broken: list[int] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            broken.append(binding.original.line)
            if any(name in binding.original.string for name in environment.OPT_OUTS):
                unreadable = unreadable or f"{file} line {binding.original.line} cannot be parsed"
        elif binding.key in environment.OPT_OUTS and binding.value is None:
            unreadable = unreadable or f"{file} line {binding.original.line} has no value"
        elif binding.key is not None and binding.value is not None and _is_ours(binding.key):
            values[binding.key] = binding.value
    if broken:
        lines = ", ".join(map(str, broken[:5])) + (", …" if len(broken) > 5 else "")
        logger.warning("telemetry: %s: skipped lines that cannot be parsed: %s", file, lines)
    return EnvFile(file, values, unreadable)


def _is_ours(name: str) -> bool:
    return name.startswith(environment.PREFIX) or name in environment.OPT_OUTS
