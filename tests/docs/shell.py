"""Command lines as a shell splits them, and as click parses those of ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from flowise_telemetry_cli.main import cli

__all__ = ["arguments_refused", "command_lines", "simple_commands", "typed_lines"]

_ENDS = frozenset({"|", "||", "&&", "&", ";", ";;", "(", ")", "{", "}"})
_REDIRECTION = re.compile(r"[<>]+&?")
_OURS = re.compile(r"(\$ )?flowise-telemetry ")


def typed_lines(text: str) -> str:
    """Return what is typed in a transcript, where lines begin with ``$``; further lines of a command are indented."""
    lines, typed = [], False
    for line in text.splitlines():
        typed = line.startswith("$ ") or (typed and line.startswith("    "))
        if typed:
            lines.append(line.removeprefix("$ "))
    return "\n".join(lines)


def command_lines(text: str) -> str:
    """Return the lines of a block in no language that are commands of ours."""
    lines = text.replace("\\\n", " ").splitlines()
    return "\n".join(line.removeprefix("$ ") for line in lines if _OURS.match(line))


def simple_commands(text: str) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Yield each simple command: the variables set for it, and its words without redirections."""
    for line in _joined(text):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token in _ENDS:
                yield from _without_variables(words)
                words = []
            else:
                words.append(token)


def _joined(text: str) -> Iterator[str]:
    """Yield the lines of a shell, each whole: after a backslash, a pipe or an open quote it goes on."""
    line = ""
    for part in text.splitlines():
        line = f"{line.removesuffix(chr(92))}\n{part}" if line else part
        if line.endswith(("\\", "|")) or _is_open(line):
            continue
        yield line.replace("\\\n", " ").replace("|\n", "| ")
        line = ""
    assert not line, f"a command that does not end: {line}"


def _is_open(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return True
    return False


def _without_variables(words: list[str]) -> Iterator[tuple[dict[str, str], list[str]]]:
    kept = [word for at, word in enumerate(words) if not _is_redirection(words, at)]
    variables = {}
    while kept and (found := re.fullmatch(r"(\w+)=(.*)", kept[0], re.DOTALL)):
        variables[found[1]] = found[2]
        kept = kept[1:]
    if variables or kept:
        yield variables, kept


def _is_redirection(words: list[str], at: int) -> bool:
    return bool(_REDIRECTION.fullmatch(words[at]) or (at and _REDIRECTION.fullmatch(words[at - 1])))


def arguments_refused(words: list[str]) -> str | None:
    """Return why click would refuse these arguments of ``flowise-telemetry``, or None.

    Commands, options and their number of values are looked at; values are not, and nothing is run.
    """
    context = click.Context(cli, info_name="flowise-telemetry")
    while True:
        try:
            _, words, _ = context.command.make_parser(context).parse_args(list(words))
        except click.UsageError as error:
            return f"{context.command_path}: {error.format_message()}"
        if not words:
            return None
        if not isinstance(context.command, click.Group):
            return f"{context.command_path} takes no argument {' '.join(words)}"
        command = context.command.get_command(context, words[0])
        if command is None:
            return f"{context.command_path} has no command {words[0]}"
        context, words = click.Context(command, parent=context, info_name=words[0]), words[1:]
