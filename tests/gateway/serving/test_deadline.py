"""One timer for many waits: each that is late ends by itself, and a cancellation stays one."""

from __future__ import annotations

import asyncio

import pytest

from flowise_telemetry_gateway.serving.deadline import Deadline


async def value() -> str:
    await asyncio.sleep(0)
    return "in time"


def test_only_what_is_late_ends() -> None:
    async def run() -> list[object]:
        deadline = Deadline(0.05)
        never = asyncio.Event()
        late = [asyncio.create_task(deadline.bounded(never.wait())) for _ in range(3)]
        return await asyncio.gather(*late, deadline.bounded(value()), return_exceptions=True)

    *late, last = asyncio.run(run())
    assert [type(error) for error in late] == [TimeoutError] * 3
    assert last == "in time"


def test_the_timer_serves_those_that_begin_later() -> None:
    async def run() -> None:
        deadline = Deadline(0.05)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await deadline.bounded(asyncio.Event().wait())
            assert await deadline.bounded(value()) == "in time"

    asyncio.run(run())


def test_a_cancellation_is_no_timeout_and_an_error_is_itself() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        deadline = Deadline(300.0)
        task = asyncio.create_task(deadline.bounded(asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ZeroDivisionError):
            await deadline.bounded(fails())

    asyncio.run(run())
