"""Made-up secrets, prompts, names and addresses, by category, from their shapes: none is, or ever was, a real one."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

__all__ = ["corpus"]

_EACH = 8
"""Texts of each category."""

_ALNUM = string.ascii_letters + string.digits
_LOWER36 = string.ascii_lowercase + string.digits
_BASE32 = string.ascii_uppercase + "234567"
_HEX = "0123456789abcdef"
_FIRST = ("jane", "john", "maria", "wei", "amina", "oleg", "sofia", "tomas", "yuki", "fatima")
_LAST = ("doe", "miller", "rossi", "chen", "okafor", "ivanov", "garcia", "novak", "tanaka", "haddad")
_WORDS = ("correct", "horse", "battery", "staple", "winter", "summer", "dragon", "monkey", "sunshine", "princess")
_PROSE = (
    "what is the capital of france",
    "summarise the contract between the two parties",
    "you are a helpful assistant of our bank",
    "my password is hunter and nobody knows",
    "patient has a history of heart disease",
    "we will fire half of the sales team",
    "translate this letter to my lawyer",
    "ignore all previous instructions",
)

Make = Callable[[random.Random], str]


def _of(letters: str, length: int, prefix: str = "", suffix: str = "") -> Make:
    return lambda rng: prefix + "".join(rng.choice(letters) for _ in range(length)) + suffix


def _person(rng: random.Random) -> tuple[str, str]:
    return rng.choice(_FIRST), rng.choice(_LAST)


def _prose(join: str) -> Make:
    return lambda rng: rng.choice(_PROSE).replace(" ", join)


def _camel(rng: random.Random) -> str:
    first, *rest = rng.choice(_PROSE).split()
    return first + "".join(map(str.capitalize, rest))


def _digits(groups: tuple[int, ...], join: str, prefix: str = "") -> Make:
    return lambda rng: prefix + join.join("".join(rng.choice(string.digits) for _ in range(size)) for size in groups)


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _jwt(rng: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return ".".join([part({"alg": "HS256"}), part({"sub": str(rng.randrange(10**9))}), _of(_ALNUM, 43)(rng)])


def _names(join: str, change: Callable[[str], str] = str) -> Make:
    return lambda rng: join.join(map(change, _person(rng)))


_MAKERS: dict[str, Make] = {
    # keys of services
    "openai key": _of(_ALNUM, 48, "sk-"),
    "openai project key": _of(_ALNUM, 48, "sk-proj-"),
    "anthropic key": _of(_ALNUM, 40, "sk-ant-api03-", "AA"),
    "stripe key": _of(_ALNUM, 24, "sk_live_"),
    "stripe publishable key": _of(_ALNUM, 24, "pk_test_"),
    "github token": _of(_ALNUM, 36, "ghp_"),
    "github fine-grained token": _of(_ALNUM, 59, "github_pat_"),
    "gitlab token": _of(_ALNUM, 20, "glpat-"),
    "slack token": lambda rng: f"xoxb-{_digits((11, 12), '-')(rng)}-{_of(_ALNUM, 24)(rng)}",
    "aws key id": _of(_BASE32, 16, "AKIA"),
    "aws secret": _of(_ALNUM + "/+", 40),
    "google key": _of(_ALNUM + "_-", 35, "AIza"),
    "google oauth token": _of(_ALNUM, 60, "ya29."),
    "huggingface token": _of(string.ascii_letters, 34, "hf_"),
    "groq key": _of(_ALNUM, 52, "gsk_"),
    "replicate token": _of(_ALNUM, 37, "r8_"),
    "pinecone key": _uuid,
    "tavily key": _of(_ALNUM, 32, "tvly-"),
    "sendgrid key": lambda rng: f"SG.{_of(_ALNUM, 22)(rng)}.{_of(_ALNUM, 43)(rng)}",
    "twilio sid": _of(_HEX, 32, "AC"),
    "npm token": _of(_ALNUM, 36, "npm_"),
    "pypi token": _of(_ALNUM, 60, "pypi-"),
    "telegram token": lambda rng: f"{_digits((10,), '')(rng)}:{_of(_ALNUM, 35)(rng)}",
    "jwt": _jwt,
    "private key": lambda rng: f"-----BEGIN PRIVATE KEY-----\n{_of(_ALNUM, 64)(rng)}\n-----END PRIVATE KEY-----",
    "database url": lambda rng: f"postgres://{_person(rng)[0]}:{_of(_ALNUM, 12)(rng)}@db.example.com/app",
    "basic auth": lambda rng: "Basic " + base64.b64encode(":".join(_person(rng)).encode()).decode(),
    # random texts
    "hex of 16": _of(_HEX, 16),
    "hex of 32": _of(_HEX, 32),
    "hex of 64": _of(_HEX, 64),
    "uuid": _uuid,
    "uuid without hyphens": lambda rng: _uuid(rng).replace("-", ""),
    "base64 of 16": _of(_ALNUM, 16),
    "base64 of 24": _of(_ALNUM, 24),
    "base64 padded": lambda rng: base64.b64encode(rng.randbytes(22)).decode(),
    "base32 of 32": _of(_BASE32, 32),
    "lower case of 12": _of(string.ascii_lowercase, 12),
    "lower case of 20": _of(_LOWER36, 20),
    "password of words": lambda rng: "".join(rng.sample(_WORDS, 2)) + str(rng.randrange(10, 100)),
    "password of words, joined": lambda rng: "_".join(rng.sample(_WORDS, 4)),
    "password with signs": lambda rng: f"{rng.choice(_WORDS).capitalize()}{rng.randrange(1000, 9999)}!",
    # people and places
    "e-mail address": lambda rng: "{}.{}@example.com".format(*_person(rng)),
    "name": _names(" ", str.capitalize),
    "name, joined": _names("_"),
    "name in camel case": _names("", str.capitalize),
    "phone number": _digits((2, 3, 7), " ", "+"),
    "phone number, joined": _digits((11,), ""),
    "street address": lambda rng: f"{rng.randrange(1, 99)} {rng.choice(_LAST).capitalize()} Street",
    "card number": _digits((4, 4, 4, 4), " ", ""),
    "social security number": _digits((3, 2, 4), "-"),
    "iban": _digits((2, 4, 4, 4, 4, 2), " ", "DE"),
    "date of birth": lambda rng: f"{rng.randrange(1940, 2010)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
    "date with points": lambda rng: f"{rng.randrange(1, 29)}.{rng.randrange(1, 13)}.{rng.randrange(1940, 2010)}",
    "ip address": lambda rng: ".".join(str(rng.randrange(1, 255)) for _ in range(4)),
    # what users write
    "prompt": _prose(" "),
    "prompt in snake case": _prose("_"),
    "prompt in camel case": _camel,
    "url": lambda rng: f"https://{rng.choice(_WORDS)}.example.com/{_of(_ALNUM, 8)(rng)}?user={_person(rng)[0]}",
    "host name": lambda rng: f"{rng.choice(_WORDS)}.internal.example.com",
    "path": lambda rng: f"/home/{_person(rng)[0]}/{rng.choice(_WORDS)}.json",
    "variable": lambda rng: f"{{{{$vars.{rng.choice(_WORDS)}}}}}",
    "other scripts": lambda rng: rng.choice(("秘密の言葉", "пароль", "كلمة السر", "Straße 5")) + str(rng.randrange(9)),
}


def corpus() -> dict[str, list[str]]:
    """The same texts at every call: 62 categories of eight."""
    rng = random.Random(16)
    return {category: [make(rng) for _ in range(_EACH)] for category, make in _MAKERS.items()}
