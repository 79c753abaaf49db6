"""Every command line of README and documentation: ours are parsed by click, the rest is known."""

from __future__ import annotations

import re
import tomllib

from docs.site.commands import contexts, option_rows
from docs.site.settings import variables_of

from flowise_telemetry import environment
from tests.docs.blocks import ROOT, blocks, pages, spans
from tests.docs.excuses import PLACEHOLDERS, PROGRAMS
from tests.docs.shell import arguments_refused, command_lines, simple_commands, typed_lines

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = set(PROJECT["project"]["optional-dependencies"])
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
OF_ANY_CLIENT = ("FLOWISE_TELEMETRY_KAFKA_", "FLOWISE_TELEMETRY_SCHEMA_REGISTRY_")


def shell_texts() -> list[tuple[str, str]]:
    """Every text that a shell would get, with where it stands."""
    found = []
    for block in blocks():
        if block.language in ("sh", "bash"):
            found.append((block.where, block.text))
        elif block.language == "console":
            found.append((block.where, typed_lines(block.text)))
        elif block.language in ("", "text"):
            found.append((block.where, command_lines(block.text)))
    return found


COMMANDS = [(where, *command) for where, text in shell_texts() for command in simple_commands(text)]


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 100


def test_commands_of_ours_are_as_click_takes_them() -> None:
    refused = [
        f"{where}: {why}"
        for where, _, words in COMMANDS
        if words and words[0].endswith("flowise-telemetry") and (why := arguments_refused(words[1:]))
    ]
    assert refused == []


def test_commands_in_sentences_are_as_click_takes_them() -> None:
    refused = []
    for page, span in spans():
        command = span.removeprefix("flowise-telemetry ")
        if command == span or command in PLACEHOLDERS or page == "CHANGELOG.md" or page.startswith("docs/adr/0"):
            continue  # what was said of an earlier version stays as it was
        words = [word for word in next(simple_commands(command))[1] if not word.startswith("[")]
        # An ellipsis stands for a value, or for more options.
        if (why := arguments_refused(words)) and arguments_refused([word for word in words if word != "…"]):
            refused.append(f"{page}: `{span}`: {why}")
    assert refused == []


def test_every_other_program_is_known() -> None:
    used = {words[0].rpartition("/")[2]: where for where, _, words in COMMANDS if words}
    tried = {"export", "make", "pip", "flowise-telemetry"}
    unknown = {name: where for name, where in used.items() if name not in {*PROGRAMS, *tried}}
    assert unknown == {}, "name it in tests/docs/excuses.py, with the reason for which it is not tried"
    assert set(PROGRAMS) - set(used) == set(), "no page uses these any more: take them out of tests/docs/excuses.py"


def test_targets_of_make_are_there() -> None:
    given = [(where, word) for where, _, words in COMMANDS if words[:1] == ["make"] for word in words[1:]]
    given += [(page, word) for page, span in spans() if span.startswith("make ") for word in span.split()[1:]]
    named = [(where, word) for where, word in given if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
    assert named
    assert [f"{where}: {word}" for where, word in named if word not in TARGETS] == []


def test_extras_are_there() -> None:
    named = [
        (page, extra.strip())
        for page, text in pages().items()
        for extras in re.findall(r"(?:flowise-telemetry|'\.)\[([\w, -]+)\]", text)
        for extra in extras.split(",")
    ]
    assert named
    assert [f"{page}: {extra}" for page, extra in named if extra not in EXTRAS] == []


def test_variables_are_read_by_something() -> None:
    known = {name for name, _ in variables_of(environment)}
    known |= {row[1].strip("`") for context in contexts() for row in option_rows(context)}
    known |= {"FLOWISE_TELEMETRY_GATEWAY_KEYS", "FLOWISE_TELEMETRY_TRACEBACK", "FLOWISE_TELEMETRY_IMAGE"}
    named = {
        (page, name)
        for page, text in pages().items()
        if page != "CHANGELOG.md" and not page.startswith("docs/adr/0")
        for name in re.findall(r"(?<![\w{])(?:DISABLE_FLOWISE_TELEMETRY|FLOWISE_TELEMETRY_[A-Z][A-Z_]*[A-Z])\b", text)
    }
    assert named
    assert sorted(f"{page}: {name}" for page, name in named if not _is_known(name, known)) == []


def _is_known(name: str, known: set[str]) -> bool:
    # FLOWISE_TELEMETRY_KAFKA_… in a sentence names a family.
    return name in known or f"{name}_".startswith(OF_ANY_CLIENT)
