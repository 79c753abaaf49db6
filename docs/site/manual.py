"""The manual page of the command, in roff: ``make generate`` writes it to where the wheel takes it from.

With ``--check`` nothing is written, and the exit status is 1 if the file differs from what would be written.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click
from docs.site.commands import contexts

from flowise_telemetry_cli.errors import PROGRAM

__all__ = ["FILE", "main", "manual"]

FILE = Path(__file__).parents[2] / "cli" / "man" / f"{PROGRAM}.1"
"""Installed to ``share/man/man1`` of the environment, where ``man`` looks for what is in its ``bin``."""


def manual() -> str:
    """Return the page: the command itself, then a section for each of its commands."""
    root, *others = contexts()
    summary, _, rest = inspect.cleandoc(root.command.help or "").partition("\n\n")
    parts = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM}" "User Commands"',
        ".nh",  # names are copied whole
        ".SH NAME",
        f"{PROGRAM} \\- {_text(summary.rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        _text("COMMAND [OPTIONS] …"),
        ".SH DESCRIPTION",
        *_paragraphs(rest),
        ".SH COMMANDS",
    ]
    for context in others:
        parts += _section(context)
    return "\n".join(parts) + "\n"


def _section(context: click.Context) -> list[str]:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f'.SS "{_text(context.command_path.removeprefix(PROGRAM + " "))}"', ".nf", _text(usage), ".fi"]
    parts += _paragraphs(inspect.cleandoc(command.help or ""))
    for option in command.get_params(context):
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None and "--help" not in option.opts:
            names, text = record
            parts += [".TP", f"\\fB{_text(names)}\\fR", _text(" ".join(text.split()))]
            if option.envvar and "[env var: " not in text:
                parts += [".br", _text(f"Environment: {option.envvar}")]
    return parts


def _paragraphs(help_text: str) -> list[str]:
    parts = []
    for paragraph in help_text.split("\n\n"):
        if paragraph.startswith("\b"):  # click's mark of lines that stay as they are
            parts += [".PP", ".nf", *map(_text, paragraph.removeprefix("\b\n").splitlines()), ".fi"]
        elif paragraph:
            parts += [".PP", _text(" ".join(paragraph.split()))]
    return parts


def _text(text: str) -> str:
    """Return text as it is: no character of it is a command, and each hyphen can be copied as one."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return re.sub(r"^(?=[.'])", r"\\&", plain)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or with ``--check`` compare it. Return the exit status."""
    text = manual()
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        sys.stderr.write(f"{FILE.name} differs from the commands: run make generate\n")
        return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
