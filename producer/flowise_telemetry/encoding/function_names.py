"""The look at a name that a person chose: is it a function's name, and not a credential?

It errs towards withholding. What it cannot tell from a name is a secret made of words, and the name of a person.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["why_withheld"]

NOT_A_NAME, CREDENTIAL, HEX, RANDOM, DIGITS = "not_a_name", "credential", "hex", "random", "digits"

_KEYS = re.compile(
    # A whole first word, by which well-known services mark their keys.
    r"(?:sk|pk|rk|ak|gh[opsur]|github_pat|glpat|gl[a-z]{2,4}t|xox[a-z]|xapp|hf|gsk|npm|pypi|dop_v1|doo_v1|shp(?:at|ss|ca|pa)"
    r"|sq0[a-z]{3}|whsec|nvapi|pplx|r8|tvly|jina|ph[cx]|sntry[su]|glsa|dckr_pat|figd|ntn|pcsk|xai|sbp|hv[sb]|PMAK|rzp"
    r"|lin_api|lsv2|ATATT|ATCTT|BBDC|ya29|SG|napi|eyJ[a-z]*)[_-].{8,}"
    # A beginning of a word.
    r"|(?:AKIA|ASIA|AROA|AIDA|AIza|EAAC|eyJ)[A-Za-z0-9].*"
    r"|(?:sk|pk|rk|gh[opsur]|xox[a-z])[_-].*"
)
_MAX_DIGITS = 5
_MAX_GROUPS_OF_DIGITS = 3
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_MIN_DIGITS_OF_HEX = 2
_HEX_OF_LETTERS = 16
_RUN = re.compile(r"[A-Za-z0-9]{6,}")
_PIECE = re.compile(r"[A-Z]*[a-z]+|[A-Z]+|[0-9]+")  # of camel case: URLFrom, Weather, 3
_MIN_PIECE_CHARACTERS = 2.2  # on average: of English words it is five, of base64 one and a half
# The letters that follow each letter in the names of functions. These pairs are 96 of 100 in Python's own library, of
# whose names they withhold three in a thousand.
_PAIRS = (
    "a:bcdfgiklmnprstuvwxy b:aeilorsuy c:acefhiklmoprstuy d:abcdefgilmoprstu "
    "e:abcdefgiklmnopqrstuvwxy f:aefilorstuy g:aeghilnorsu h:aeiorsty i:abcdefglmnoprstvxz "
    "j:eos k:aeis l:acdefiloprstuvy m:abdeilmopstu n:abcdefgiklmnoprstuv o:abcdfgiklmnoprstuvwx "
    "p:acdehiloprstuy q:lu r:acdefgiklmnoprstuvy s:acdefhiklmnopqrstuwy t:acdefhilmnoprstuwyz "
    "u:abcdegilmnprst v:aeio w:aeinors x:ceipt y:clmnpst z:ae"
)
_FOLLOWERS = {letters[0]: letters[2:] for letters in _PAIRS.split()}
_MIN_PAIRS, _RARE_PAIRS, _RARE_SHARE = 5, 3, 0.3


def why_withheld(name: str) -> str | None:
    """Return the rule by which a name that has a function name's shape is withheld; None if it may be sent."""
    if _KEYS.fullmatch(name):
        return CREDENTIAL
    digits = re.findall("[0-9]+", name)
    if sum(map(len, digits)) > _MAX_DIGITS or len(digits) > _MAX_GROUPS_OF_DIGITS:
        return DIGITS
    for run in _HEX.findall(name):
        if sum(map(str.isdigit, run)) >= _MIN_DIGITS_OF_HEX or len(run) >= _HEX_OF_LETTERS:
            return HEX
    if any(map(_is_random, _RUN.findall(name))) or _is_unpronounceable(name):
        return RANDOM
    return None


def _is_random(run: str) -> bool:
    return len(run) / len(_PIECE.findall(run)) < _MIN_PIECE_CHARACTERS


def _is_unpronounceable(name: str) -> bool:
    words = [piece.lower() for piece in _PIECE.findall(name)]
    pairs = [pair for word in words for pair in itertools.pairwise(word) if pair[0].isalpha()]
    rare = sum([after not in _FOLLOWERS[before] for before, after in pairs])
    return len(pairs) >= _MIN_PAIRS and (rare > _RARE_SHARE * len(pairs) or rare >= max(_RARE_PAIRS, len(pairs) / 4))
