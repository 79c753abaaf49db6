"""The few requests of Kafka's protocol that a diagnosis needs, on a socket (https://kafka.apache.org/protocol)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

__all__ = ["ClosedError", "Reader", "Wire", "array_of", "string_of"]

_METADATA, _SASL_HANDSHAKE, _API_VERSIONS, _SASL_AUTHENTICATE = 3, 17, 18, 36
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


class ClosedError(Exception):
    """The peer closed the connection, or answered with what is not Kafka's protocol. Never leaves the diagnosis."""


class Wire:
    """Requests on a connected socket, one at a time. Raises ``ClosedError`` and ``OSError``."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._number = 0
        self.versions: dict[int, tuple[int, int]] = {}
        """The lowest and highest version of each request that the peer takes, by the request's key."""

    def ask(self, key: int, version: int, body: bytes) -> Reader:
        """Send a request with a header of version 1; return the answer after its own."""
        self._number += 1
        client = b"flowise-telemetry"
        head = struct.pack(">hhih", key, version, self._number, len(client)) + client
        self._socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        (size,) = struct.unpack(">i", self._take(4))
        if not 4 <= size <= _MAX_ANSWER_BYTES:
            raise ClosedError
        answer = Reader(self._take(size))
        if answer.int32() != self._number:
            raise ClosedError
        return answer

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            part = self._socket.recv(size - len(taken))
            if not part:
                raise ClosedError
            taken += part
        return taken

    def speaks_kafka(self) -> None:
        """Return if the peer answers as a broker does; every listener does so before a login."""
        answer = self.ask(_API_VERSIONS, 0, b"")
        if answer.int16() == 0:
            found = [(answer.int16(), (answer.int16(), answer.int16())) for _ in range(answer.int32())]
            self.versions = dict(found)

    def takes(self, key: int, version: int) -> bool:
        """Return True if the peer takes this version of a request."""
        low, high = self.versions.get(key, (0, -1))
        return low <= version <= high

    def mechanisms(self, mechanism: str) -> tuple[int, list[str]]:
        """Choose a SASL mechanism; return the error code, and the mechanisms that the listener has."""
        answer = self.ask(_SASL_HANDSHAKE, 1, string_of(mechanism))
        return answer.int16(), [answer.string() or "" for _ in range(answer.int32())]

    def authenticate(self, message: bytes) -> tuple[int, str, bytes]:
        """Send a step of the login; return the error code, the broker's reason and its answer."""
        answer = self.ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(message)) + message)
        return answer.int16(), answer.string() or "", answer.bytes()

    def brokers(self) -> Sequence[tuple[str, int]]:
        """Return the addresses that the brokers advertise on this listener."""
        answer = self.ask(_METADATA, 1, struct.pack(">i", 0))
        found = []
        for _ in range(answer.int32()):
            answer.int32()
            host, port = answer.string() or "", answer.int32()
            answer.string()
            found.append((host, port))
        return found


class Reader:
    """The fields of an answer, one after the other. Raises ``ClosedError`` where there are no more."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def _take(self, size: int) -> bytes:
        part = self._raw[self._at : self._at + size]
        if len(part) != size:
            raise ClosedError
        self._at += size
        return part

    def int8(self) -> int:
        """Return the next byte; also a boolean."""
        return self._take(1)[0]

    def int16(self) -> int:
        """Return the next two bytes."""
        return int(struct.unpack(">h", self._take(2))[0])

    def int32(self) -> int:
        """Return the next four bytes; also the length of an array, -1 for one that is null."""
        return int(struct.unpack(">i", self._take(4))[0])

    def int64(self) -> int:
        """Return the next eight bytes."""
        return int(struct.unpack(">q", self._take(8))[0])

    def varint(self) -> int:
        """Return an unsigned number of the flexible versions (KIP-482)."""
        found = shift = 0
        while True:
            byte = self.int8()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 28:
                raise ClosedError

    def take(self, size: int) -> bytes:
        """Return so many bytes as they are."""
        return self._take(size)

    def string(self) -> str | None:
        """Return a text, or None for one that is null."""
        size = self.int16()
        return None if size < 0 else self._take(size).decode("utf-8", "replace")

    def bytes(self) -> bytes:
        """Return bytes with their length in front."""
        size = self.int32()
        return b"" if size < 0 else self._take(size)


def string_of(text: str) -> bytes:
    """Return a text with its length in front."""
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def array_of(parts: Sequence[bytes]) -> bytes:
    """Return an array of encoded parts."""
    return struct.pack(">i", len(parts)) + b"".join(parts)
