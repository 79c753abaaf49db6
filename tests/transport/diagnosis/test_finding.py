"""A look has a bound, whatever it hangs in, and what it found until then is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from flowise_telemetry_transport.diagnosis.finding import Finding, Look, findings_of, ok


def test_one_that_hangs_is_left_behind() -> None:
    released = threading.Event()

    def hang(_: float) -> Iterator[Finding]:
        yield ok("first", "well")
        released.wait(60)

    found = findings_of(Look("second", 0.2, hang), 60)
    released.set()
    assert [(each.name, each.state) for each in found] == [("first", "ok"), ("second", "failed")]
    assert found[1].says == "no answer within 0.2 s"


def test_one_that_raises_is_a_finding_without_a_value() -> None:
    def raises(_: float) -> Iterator[Finding]:
        yield ok("first", "well")
        raise ValueError("hunter2")

    found = findings_of(Look("second", 60, raises), 60)
    assert [each.line for each in found] == ["well", "the look ended with ValueError"]
