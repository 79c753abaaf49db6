"""Head and body of an answer are one write."""

from __future__ import annotations

import asyncio
from typing import Any

from flowise_telemetry_gateway.serving.joined_writes import JoinedWrites, joining


class _Inner:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("closed")

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> str:
        return f"its {name}"


def test_what_is_written_in_one_turn_of_the_loop_is_one_write() -> None:
    inner = _Inner()

    async def answers() -> None:
        transport = JoinedWrites(inner)  # type: ignore[arg-type]
        transport.write(b"head ")
        transport.write(b"body")
        assert inner.calls == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)

    asyncio.run(answers())
    assert inner.calls == [b"head body", b"next"]


def test_an_answer_is_written_before_its_connection_is_closed() -> None:
    inner = _Inner()

    async def answers() -> None:
        transport = JoinedWrites(inner)  # type: ignore[arg-type]
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)

    asyncio.run(answers())
    assert inner.calls == [b"last", "closed"]


def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile() -> None:
    inner = _Inner()

    async def answers() -> None:
        transport = JoinedWrites(inner)  # type: ignore[arg-type]
        transport.write(b"late")
        inner.closing = True
        await asyncio.sleep(0)

    asyncio.run(answers())
    assert inner.calls == []


def test_a_protocol_gets_a_transport_that_joins_and_is_the_inner_one_for_all_else() -> None:
    made: list[Any] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    async def connected() -> None:
        joining(Protocol)().connection_made(_Inner())  # type: ignore[arg-type]

    asyncio.run(connected())
    assert isinstance(made[0], JoinedWrites)
    assert made[0].get_extra_info("peername") == "its peername"
