"""Spellings of an opt-out in a ``.env`` file: what may be meant as a no is a no."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowise_telemetry import Telemetry
from flowise_telemetry.consent.opt_out_lines import opt_out_in
from flowise_telemetry.environment import OPT_OUTS

NAME = "DISABLE_FLOWISE_TELEMETRY"


def wide(text: str) -> str:
    """The text in full-width letters, as an input method of East Asia writes it."""
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)


A_NO = {
    "UTF-16 with a mark, as PowerShell writes it": f"A=1\r\n{NAME}=true\r\n".encode("utf-16"),
    "UTF-16 little-endian without a mark": f"{NAME}=true\r\n".encode("utf-16-le"),
    "UTF-16 big-endian without a mark": f"{NAME}=true\r\n".encode("utf-16-be"),
    "UTF-16 big-endian with a mark": codecs.BOM_UTF16_BE + f"{NAME}=true\r\n".encode("utf-16-be"),
    "UTF-32": f"{NAME}=true\n".encode("utf-32"),
    "a UTF-16 line after UTF-8 ones": b"A=\xc3\xa9\n" + f"{NAME}=true\r\n".encode("utf-16-le"),
    "a marked UTF-16 line after UTF-8 ones": b"A=1\n" + f"{NAME}=true\r\n".encode("utf-16"),
    "a UTF-8 line after UTF-16 ones": "A=1\r\n".encode("utf-16") + f"{NAME}=true\n".encode(),
    "a byte-order mark": f"\ufeff{NAME}=true".encode(),
    "a byte-order mark in a later line": f"A=1\n\ufeff{NAME}=true".encode(),
    "two byte-order marks": f"\ufeff\ufeff{NAME}=true".encode(),
    "a NUL": f"\0{NAME}=true".encode(),
    "a zero-width space": f"\u200b{NAME}=true".encode(),
    "a zero-width space in the name": "DISABLE_\u200bFLOWISE_TELEMETRY=true".encode(),
    "a zero-width space after the name": f"{NAME}\u200b=true".encode(),
    "a non-breaking space": f"export\u00a0{NAME}=true".encode(),
    "Latin-1 around it": b"A=\xe9\n" + f"{NAME}=true\n".encode(),
    "a colon": f"{NAME}:true".encode(),
    "a colon and a space": f"{NAME}: yes".encode(),
    "a semicolon": f"{NAME};true".encode(),
    "no separator": f"{NAME} true".encode(),
    "a quoted name": f'"{NAME}"=true'.encode(),
    "a singly quoted name": f"'{NAME}' = 'true'".encode(),
    "JSON": f'{{"{NAME}": true}}'.encode(),
    "PowerShell": f'$env:{NAME}="true"'.encode(),
    "PowerShell, braces": f"${{env:{NAME}}} = 'true'".encode(),
    "cmd": f"set {NAME}=true".encode(),
    "cmd, quoted": f'set "{NAME}=true"'.encode(),
    "setx": f"setx {NAME} true".encode(),
    "csh": f"setenv {NAME} 1".encode(),
    "fish": f"set -gx {NAME} 1".encode(),
    "export": f"export {NAME}=true".encode(),
    "lower case": f"{NAME.lower()}=true".encode(),
    "mixed case": b"Disable_Flowise_Telemetry=TRUE",
    "hyphens": b"disable-flowise-telemetry=true",
    "spaces around": f"  {NAME}  =  true  ".encode(),
    "a tab": f"\t{NAME}\t=\ttrue".encode(),
    "old Macintosh line ends": f"A=1\r{NAME}=true\r".encode(),
    "a form feed": f"A=1\f{NAME}=true".encode(),
    "no value": NAME.encode(),
    "exported alone": f"export {NAME}".encode(),
    "an open quote": f"{NAME}='true".encode(),
    "an open quote and no value": f'{NAME}="'.encode(),
    "a value on the next line": f'{NAME}="\ntrue"\n'.encode(),
    "after a line with an open quote": f"A='1\n{NAME}=true\n".encode(),
    "a value in full-width letters": f"{NAME}=\uff54\uff52\uff55\uff45".encode(),
    "in full-width letters": wide(f"{NAME}=true").encode(),
    "full-width letters and another language": f"{wide(NAME)}=да".encode(),
    "full-width letters, ASCII's sign": f"export {wide(NAME.lower())} = true".encode(),
    "full-width letters in UTF-16": wide(f"A=1\r\n{NAME}=true\r\n").encode("utf-16"),
    "full-width letters in UTF-16 after UTF-8": b"AB=\xc3\xa9\n" + wide(f"{NAME}=true\r\n").encode("utf-16-le"),
    "full-width letters in UTF-16 big-endian": b"A=1\n" + wide(f"{NAME}=true\r\n").encode("utf-16-be"),
    "full-width letters in Shift JIS": wide(f"{NAME}=true\n").encode("cp932"),
    "full-width letters in GBK": wide(f"{NAME}=true\n").encode("gbk"),
    "full-width letters in Korean": wide(f"{NAME}=true\n").encode("cp949"),
    "full-width letters in Big5": wide(f"{NAME}=true\n").replace("\uff3f", "_").encode("cp950"),
    "mathematical letters": "".join(chr(0x1D400 + ord(c) - 65) if c != "_" else c for c in NAME).encode() + b"=1",
    "accents": "DÌSÁBLE_FLÖWISE_TELËMETRY=1".encode(),
    "accents, decomposed": f"{NAME}=1".replace("I", "I\u0300").encode(),
    "Turkish lower case": f"{NAME}=1".lower().replace("i", "\u0131").encode(),
    "Turkish upper case": f"{NAME}=1".replace("I", "\u0130").encode(),
    "another language": f"{NAME}=да".encode(),
    "a variable": f"{NAME}=${{OFF:-false}}".encode(),
    "yes, then no": f"{NAME}=true\n{NAME}=false\n".encode(),
    "no, then yes": f"{NAME}=false\n{NAME}=true\n".encode(),
    "two in a line": f"{NAME}=false {NAME}=true".encode(),
    "a comment behind": f"{NAME}=true # we do not want it".encode(),
    "a comment before": f"# our choice\n{NAME}=1".encode(),
    "the other switch": b"DO_NOT_TRACK: 1",
}

NO_NO = {
    "empty": b"",
    "equals nothing": f"{NAME}=".encode(),
    "equals empty quotes": f"{NAME}=''\n{NAME}=\"\"\r\n".encode(),
    "0": f"{NAME}=0".encode(),
    "false in UTF-16": f"{NAME}=false\r\n".encode("utf-16"),
    "quoted": f'export {NAME}="False"\r\n'.encode(),
    "a colon": f"{NAME}: no".encode(),
    "PowerShell": f'$env:{NAME} = "false"'.encode(),
    "cmd": f'set "{NAME}=off"'.encode(),
    "a comment behind": f"{NAME}=false # set to true to opt out".encode(),
    "false in full-width letters' name": f"{wide(NAME)}=false".encode(),
    "0 behind a full-width sign": f"A=\u00e9\n{wide(NAME)}{wide('=')}0\n".encode("utf-16"),
    "a comment in another language": f"# é: {NAME}=true\n{NAME}=false # é".encode(),
    "a comment in Latin-1": b"# \xe9: " + f"{NAME}=true".encode(),
    "a comment in Shift JIS": f"# \u3042 {wide(NAME)}=true".encode("cp932"),
    "commented out behind a mark": f"\ufeff# {wide(NAME)}=true".encode(),
    "part of another name in full-width letters": wide(f"MY_{NAME}=true").encode(),
    "commented out": f"# {NAME}=true".encode(),
    "commented out, in UTF-16": f"#{NAME}=true\r\n".encode("utf-16"),
    "commented out, indented": f"  #  {NAME}=true".encode(),
    "in the comment of another": f"A=1 # see {NAME}=true".encode(),
    "part of another name": f"{NAME}_HINT=true\nMY_{NAME}=true".encode(),
}


@pytest.mark.parametrize("spelling", A_NO)
def test_what_may_be_meant_as_a_no_is_one(spelling: str, environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").write_bytes(A_NO[spelling])
    found = Telemetry(app_version="3.0.1", environ={**environ, NAME: "false"}, enabled=True).consent
    assert (found.enabled, found.decided_by[-8:]) == (False, " in .env")


@pytest.mark.parametrize("spelling", NO_NO)
def test_what_is_plainly_no_no_leaves_it_on(spelling: str, environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").write_bytes(NO_NO[spelling])
    assert Telemetry(app_version="3.0.1", environ=environ).consent.enabled


INVISIBLE = st.text(st.sampled_from("\ufeff\u200b\u200c\u200d\u2060\u00ad\u00a0\0 \t"), max_size=3)
CASE = st.sampled_from(
    [str.upper, str.lower, str.title, lambda name: wide(name.upper()), lambda name: wide(name.lower())]
)
ENCODING = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
ANY_CHARACTER = st.characters(exclude_categories=["Cs"])
OTHER_LINES = st.lists(st.text(ANY_CHARACTER, max_size=20), max_size=3)
A_YES = st.text(ANY_CHARACTER, min_size=1, max_size=12).filter(
    lambda text: (
        not (set(text.lower().split()) & {"0", "false", "no", "off"})
        and "track" not in text.lower()  # nor another switch
        and any(character.isalnum() for character in text.splitlines()[0])
    )
)


@given(
    name=st.sampled_from(OPT_OUTS),
    case=CASE,
    before=st.sampled_from(["", "export ", "set ", "$env:", "setx ", "declare -x "]),
    invisible=INVISIBLE,
    quote=st.sampled_from(["", '"', "'"]),
    separator=st.sampled_from(["=", " = ", ":", ": ", ";", " "]),
    value=A_YES,
    encoding=ENCODING,
    others=OTHER_LINES,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@example(OPT_OUTS[0], wide, "", "", "", "=", "0\U000ad800", "utf-32", [], "\n")  # half a surrogate in UTF-16
def test_no_spelling_of_a_no_is_overlooked(
    name: str, case: object, before: str, invisible: str, quote: str, separator: str,
    value: str, encoding: str, others: list[str], end: str,
) -> None:  # fmt: skip
    line = f"{before}{invisible}{quote}{case(name)}{quote}{separator}{value}"  # type: ignore[operator]  # a method
    first = "".join(other + end for other in others).encode()
    assert opt_out_in((line + end).encode(encoding)) == name
    assert opt_out_in(first + b"\n" + (line + end).encode(encoding) + first) == name


@given(
    name=st.sampled_from(OPT_OUTS),
    value=st.sampled_from(["0", "false", "no", "off", "False", "OFF", '"no"', "'0'"]),
    before=st.sampled_from(["", "export ", "$env:", "\ufeff"]),
    encoding=ENCODING,
    end=st.sampled_from(["", "\n", "\r\n", "\r"]),
)
def test_the_words_that_leave_it_on_do_so_in_every_encoding(
    name: str, value: str, before: str, encoding: str, end: str
) -> None:
    assert opt_out_in(f"{before}{name}={value}{end}".encode(encoding)) is None
