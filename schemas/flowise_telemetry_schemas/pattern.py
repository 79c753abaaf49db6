"""The language of patterns: regular expressions that every reader interprets alike, as automata.

Python's ``re``, the engine of polars and PostgreSQL agree on this subset. Every repeat has a bound, so a pattern has
finitely many texts, and whether one pattern takes all texts of another is decided, not guessed:

    pattern  = ^ sequence $          without | outside a group: each half would be anchored at one end alone
    sequence = ( atom repeat? )*
    atom     = a letter, digit, _ or - | \\. | [a set of these] | ( sequence ( | sequence )* )
    repeat   = ? | {n} | {m,n}
"""

from __future__ import annotations

import string
from collections import Counter, deque
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from functools import cached_property

from flowise_telemetry_schemas.errors import SchemaError

__all__ = ["Pattern", "text_beyond"]

_PLAIN = frozenset(string.ascii_letters + string.digits + "_-")
_RANGES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_MAX_STATES = 10_000
_MAX_DEPTH = 8
_MAX_WAYS = 1_000
_MAX_STEPS = 100_000

_Ways = Counter[int]  # states, and the number of ways that lead to each


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a pattern: a set of characters, or a ``sequence``, or ``branches``, of which one, repeated."""

    characters: Set[str] = frozenset()
    sequence: tuple[_Node, ...] = ()
    branches: tuple[_Node, ...] = ()
    least: int = 1
    most: int = 1


class Pattern:
    """The automaton of a pattern. Raises ``SchemaError`` for text that is not of the language, or too large for it."""

    def __init__(self, text: str) -> None:
        self._free: list[list[int]] = []
        self._moves: list[tuple[Set[str], int] | None] = []
        start = self._state()
        self._end = self._build(_Parser(text).pattern(), start)
        self._closures = self._close()
        self.start: _Ways = self._closures[start]

    @cached_property
    def sets(self) -> frozenset[frozenset[str]]:
        """The sets of characters that the pattern tells apart."""
        return frozenset(frozenset(move[0]) for move in self._moves if move is not None)

    def step(self, ways: _Ways, character: str) -> _Ways:
        """Return the states after one more character."""
        following: _Ways = Counter()
        for state, number in ways.items():
            move = self._moves[state]
            if move is not None and character in move[0]:
                for reached, more in self._closures[move[1]].items():
                    following[reached] += number * more
        return following

    def ends(self, ways: _Ways) -> bool:
        """Return whether a text may end here."""
        return self._end in ways

    def takes(self, text: str) -> bool:
        """Return whether the whole text matches."""
        ways = self.start
        for character in text:
            ways = self.step(ways, character)
        return self.ends(ways)

    def check_ways(self) -> None:
        """Raise ``SchemaError`` if one text matches in so many ways that an engine may try them for minutes."""
        kinds = _kinds(self.sets)
        waiting = deque([self.start])
        seen = {frozenset(self.start.items())}
        while waiting:
            ways = waiting.popleft()
            if ways.total() > _MAX_WAYS:
                raise SchemaError(f"matches one text in more than {_MAX_WAYS:,} ways, which may take for ever")
            for character in kinds:
                following = self.step(ways, character)
                key = frozenset(following.items())
                if following and key not in seen:
                    seen.add(key)
                    waiting.append(following)
            if len(seen) > _MAX_STEPS:
                raise SchemaError("is too large to be checked: use fewer repeats")

    def _state(self) -> int:
        if len(self._free) >= _MAX_STATES:
            raise SchemaError(f"has more than {_MAX_STATES:,} characters when its repeats are written out")
        self._free.append([])
        self._moves.append(None)
        return len(self._free) - 1

    def _build(self, node: _Node, start: int) -> int:
        """Add a part that begins in ``start``; return the state in which it ends. Ways lead to higher states alone."""
        skips = []
        for number in range(node.most):
            if number >= node.least:
                skips.append(start)
            start = self._build_once(node, start)
        if not skips:
            return start
        end = self._state()
        for skipped in (*skips, start):
            self._free[skipped].append(end)
        return end

    def _build_once(self, node: _Node, start: int) -> int:
        if node.branches:
            ends = []
            for branch in node.branches:
                begin = self._state()
                self._free[start].append(begin)
                ends.append(self._build(branch, begin))
            end = self._state()
            for branch_end in ends:
                self._free[branch_end].append(end)
            return end
        if not node.characters:
            for inner in node.sequence:
                start = self._build(inner, start)
            return start
        begin, end = self._state(), self._state()
        self._free[start].append(begin)
        self._moves[begin] = (node.characters, end)
        return end

    def _close(self) -> list[_Ways]:
        """Return, for each state, those that are reached from it without a character and then read one, or end."""
        closures: list[_Ways] = [Counter() for _ in self._free]
        for state in reversed(range(len(self._free))):
            ways = closures[state]
            if self._moves[state] is not None or state == self._end:
                ways[state] += 1
            for following in self._free[state]:
                ways.update(closures[following])
            if ways.total() > _MAX_WAYS:
                raise SchemaError("repeats what may be empty, or has too many repeats that may be left out in a row")
        return closures


def text_beyond(old: Pattern, new: Pattern, max_length: int) -> str | None:
    """Return a shortest text of at most ``max_length`` that ``old`` takes and ``new`` does not; None if there is none.

    Raises ``SchemaError`` if the two are too large to be compared.
    """
    kinds = _kinds(old.sets | new.sets)
    waiting: deque[tuple[_Ways, _Ways, str]] = deque([(old.start, new.start, "")])
    seen = {(frozenset(old.start), frozenset(new.start))}
    while waiting:
        before, after, text = waiting.popleft()
        if old.ends(before) and not new.ends(after):
            return text
        if len(text) == max_length:
            continue
        for character in kinds:
            following = old.step(before, character)
            if not following:
                continue
            beyond = new.step(after, character)
            key = (frozenset(following), frozenset(beyond))
            if key not in seen:
                seen.add(key)
                waiting.append((following, beyond, text + character))
        if len(seen) > _MAX_STEPS:
            raise SchemaError("the patterns are too large to be compared")
    return None


def _kinds(sets: Iterable[frozenset[str]]) -> str:
    """Return one character, a readable one, for all that are in the same of these sets."""
    listed = list(sets)
    kinds: dict[tuple[bool, ...], str] = {}
    for character in f"{string.ascii_lowercase}{string.ascii_uppercase}{string.digits}_-.":
        kinds.setdefault(tuple(character in one for one in listed), character)
    return "".join(character for key, character in kinds.items() if any(key))


class _Parser:
    """A cursor in the text of a pattern."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def pattern(self) -> _Node:
        if not (self._text.startswith("^") and self._text.endswith("$")):
            raise SchemaError("must begin with ^ and end with $")
        self._at = 1
        node = self._sequence(0)
        # "$" ends the text alone: elsewhere it is no part of the language.
        if self._at != len(self._text) - 1:
            raise self._wrong()
        return node

    def _sequence(self, depth: int) -> _Node:
        nodes = []
        while self._peek() not in ("|", ")", "$", ""):
            nodes.append(self._repeated(self._atom(depth)))
        return _Node(sequence=tuple(nodes))

    def _atom(self, depth: int) -> _Node:
        character = self._next()
        if character in _PLAIN:
            return _Node(characters=frozenset(character))
        if character == "\\" and self._peek() == ".":
            return _Node(characters=frozenset(self._next()))
        if character == "[":
            return _Node(characters=self._set())
        if character == "(" and depth < _MAX_DEPTH:
            branches = [self._sequence(depth + 1)]
            while self._peek() == "|":
                self._next()
                branches.append(self._sequence(depth + 1))
            self._want(")")
            return _Node(branches=tuple(branches))
        self._at -= 1
        raise self._wrong()

    def _set(self) -> Set[str]:
        """Read a set. A hyphen is one only at the end: some engines read two of them as a difference of sets."""
        found: set[str] = set()
        while self._peek() != "]":
            first = self._next()
            if first not in _PLAIN or (first == "-" and self._peek() != "]"):
                self._at -= 1
                raise self._wrong()
            if first != "-" and self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._next()
                found |= self._range(first, self._next())
            found.add(first)
        self._next()
        if not found:
            raise SchemaError("has an empty set")
        return frozenset(found)

    def _range(self, first: str, last: str) -> Set[str]:
        for letters in _RANGES:
            if first in letters and last in letters and first <= last:
                return frozenset(letters[letters.index(first) : letters.index(last) + 1])
        raise SchemaError(f"has a range {first}-{last}: it must go upwards within a-z, A-Z or 0-9")

    def _repeated(self, node: _Node) -> _Node:
        if self._peek() == "?":
            self._next()
            least, most = 0, 1
        elif self._peek() == "{":
            self._next()
            least = most = self._number()
            if self._peek() == ",":
                self._next()
                most = self._number()
            self._want("}")
            if least > most:
                raise SchemaError(f"has a repeat {{{least},{most}}} that goes downwards")
        else:
            return node
        return replace(node, least=least, most=most)

    def _number(self) -> int:
        start = self._at
        while self._peek() in string.digits and self._peek():
            self._next()
        if not 0 < self._at - start <= 4:
            raise self._wrong()
        return int(self._text[start : self._at])

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _want(self, character: str) -> None:
        if self._next() != character:
            self._at -= 1
            raise self._wrong()

    def _wrong(self) -> SchemaError:
        found = self._text[self._at : self._at + 1]
        return SchemaError(f"has {found or 'nothing'} at character {self._at + 1}, where it cannot be")
