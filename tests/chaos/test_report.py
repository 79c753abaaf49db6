"""The table at the end of a run."""

from __future__ import annotations

from tests.chaos.checker import Fault, Verdict
from tests.chaos.report import Outcome, table


def test_a_row_for_each_trial_with_its_faults_counted() -> None:
    verdict = Verdict(1_500, 1_499, 1_490, 3, 5, (Fault("lost", "x"), Fault("lost", "y"), Fault("altered", "z")))
    good = Outcome("a fault", "librdkafka", "TelemetrySinkAway", 12.3, Verdict(10, 10, 10, 0, 0, ()))
    bad = Outcome("a fault", "kafka-python", None, 12.3, verdict)
    broken = Outcome("another", "librdkafka", None, 1.0, None, failure="TrialError: no consumer is left")
    assert [outcome.holds for outcome in (good, bad, broken)] == [True, False, False]
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in table([good, bad, broken]).splitlines()
    )
    assert dict(zip(head, rows[0], strict=True))["alert"] == "`TelemetrySinkAway`"
    counted = dict(zip(head, rows[1], strict=True))
    assert (counted["offered"], counted["written"], counted["dead letters"], counted["expired"]) == (
        "1,500", "1,490", "3", "5",
    )  # fmt: skip
    assert (counted["lost"], counted["doubled"], counted["altered"]) == ("2", "0", "1")
    assert set(rows[2][2:-1]) == {"-"}
