"""Telemetry's variables in a ``.env`` file, read without touching ``os.environ``."""

from __future__ import annotations

import codecs
import io
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowise_telemetry import environment
from flowise_telemetry.consent.opt_out_lines import opt_out_in
from flowise_telemetry.found_file import permitted

__all__ = ["EnvFile", "find_opt_out", "read_env_file"]

logger = logging.getLogger("flowise_telemetry")

MAX_FILE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class EnvFile:
    """Telemetry's variables in a file; all others are discarded.

    ``opt_out`` names the opt-out in the file, for people; a file that cannot be read counts as one. ``named`` is True
    if the program named the file. One that was only found sets less: ``passed_over`` names what it may not set, and
    ``choice_values`` say where an earlier release may have stored a choice because of it.
    """

    path: Path
    values: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a password
    opt_out: str | None = None
    named: bool = False
    passed_over: tuple[str, ...] = ()
    choice_values: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_env_file(path: str | Path | None) -> EnvFile:
    """Read the given file, or ``.env`` in the working directory, if there is one; a missing file is empty.

    Lines that are not ``NAME=value`` are skipped, with one WARNING for the file. Values are literal: ``$NAME`` is not
    expanded. The null device counts as empty under any name, because containers mount it over files to hide them.
    Anything else than a regular file of at most 1 MiB is not read, so this never blocks on a pipe.
    """
    file = Path(path) if path is not None else Path(".env")
    try:
        raw = _read(file)
    except FileNotFoundError:
        if path is not None:
            logger.warning("telemetry: env_file %s does not exist", file)
        return EnvFile(file, named=path is not None)
    except OSError as error:
        return EnvFile(file, opt_out=f"{file} {error.strerror}", named=path is not None)
    return _parse(file, raw, named=path is not None)


def find_opt_out(path: Path) -> str | None:
    """Return the name of the switch that the file turns on, or why that cannot be known; None if it turns on none."""
    try:
        return opt_out_in(_read(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror


def _read(file: Path) -> bytes:
    """Return the bytes. Raises ``FileNotFoundError``, and ``OSError`` with our own text if it cannot be read."""
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode) or _is_null_device(status):
            return b""
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_FILE_BYTES:
            return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, "does not exist", str(file)) from error
    except (OSError, ValueError) as error:
        raise OSError(0, "cannot be read") from error
    raise OSError(0, "is not a regular file of at most 1 MiB")


def _is_null_device(status: os.stat_result) -> bool:
    if not stat.S_ISCHR(status.st_mode):
        return False
    try:
        return Path(os.devnull).stat().st_rdev == status.st_rdev
    except OSError:
        return False


def _text(raw: bytes) -> str:
    """Decode UTF-8, or UTF-16 as Windows' editors and shells write it: with or without its mark, whole or in part."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    return raw.replace(b"\0", b"").decode("utf-8-sig", errors="replace")


def _parse(file: Path, raw: bytes, *, named: bool) -> EnvFile:
    # Imported only if there is a file: it takes longer to load than this whole package. dotenv_values, the documented
    # way in, logs a WARNING for each bad line and does not say which lines were bad; the module dotenv.parser does, but
    # python-dotenv does not document it. If a release renames parse_stream or the attributes of a Binding (key, value,
    # original.string, original.line, error), every app with a .env file fails here, in Telemetry(); the tests of broken
    # files in tests/producer/consent would show it before a release of ours allows that one.
    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    name = opt_out_in(raw)
    broken: list[int] = []
    for binding in parse_stream(io.StringIO(_text(raw))):
        if binding.error:
            broken.append(binding.original.line)
        elif binding.key is not None and binding.value is not None and _is_ours(binding.key):
            values[binding.key] = binding.value
    if broken:
        lines = ", ".join(map(str, broken[:5])) + (", …" if len(broken) > 5 else "")
        logger.warning("telemetry: %s: skipped lines that cannot be parsed: %s", file, lines)
    kept, passed_over = (values, ()) if named else permitted(values)
    return EnvFile(
        file,
        kept,
        f"{name} in {file}" if name else None,
        named=named,
        passed_over=passed_over,
        choice_values={environment.CONFIG_DIR: values[environment.CONFIG_DIR]}
        if environment.CONFIG_DIR in passed_over
        else {},
    )


def _is_ours(name: str) -> bool:
    return name.startswith(environment.PREFIX) or name in environment.OPT_OUTS
