"""What an installation keeps of itself, and how that goes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from flowise_telemetry.consent.forgetting import kept_of
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry.identity.former_ids import MONTHS, keep_ids, monthly_ids
from flowise_telemetry.identity.instance_id import InstanceId, load_secret
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import tool_created, wait_until

JANUARY_MS = 1_769_904_000_000 - 1
"""The last millisecond of January 2026."""


def test_the_ids_of_the_months_follow_from_the_secret(environ: dict[str, str], config_dir: Path) -> None:
    assert monthly_ids(environ, JANUARY_MS) == []
    ids = InstanceId(load_secret(environ))
    found = monthly_ids(environ, JANUARY_MS)
    assert (len(found), found[0]) == (MONTHS, ("2026-01", ids.at(JANUARY_MS)))
    assert found[1] == ("2025-12", ids.at(JANUARY_MS - 31 * 86_400_000))
    assert found[-1][0] == "2024-02"
    assert [file.name for file in config_dir.iterdir()] == ["instance-secret"]


def test_those_of_deleted_secrets_are_kept_for_two_years(environ: dict[str, str], config_dir: Path) -> None:
    made = []
    for _ in range(2):
        made.append(InstanceId(load_secret(environ)).at(JANUARY_MS))
        keep_ids(environ, JANUARY_MS)
        (config_dir / "instance-secret").unlink()
    file = config_dir / "former-instance-ids"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {its for month, its in monthly_ids(environ, JANUARY_MS) if month == "2026-01"} == set(made)
    assert all(len(line) == len("2026-01 ") + 36 for line in file.read_text().splitlines())
    assert monthly_ids(environ, JANUARY_MS + 800 * 86_400_000) == []
    file.write_text("2026-01 no id\n\x00")
    assert monthly_ids(environ, JANUARY_MS) == []


@pytest.mark.slow
def test_nothing_is_left_but_that_it_was_forgotten(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path, config_dir: Path
) -> None:
    environ["FLOWISE_TELEMETRY_SPOOL_DIR"] = str(tmp_path / "spool")
    environ["FLOWISE_TELEMETRY_LOG"] = str(tmp_path / "ledger")
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    telemetry.flush(timeout_seconds=10.0)
    broker.down = True
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: telemetry.stats().spooled == 1)
    telemetry.close(timeout_seconds=2.0)
    kept = kept_of(environ=environ)
    assert {path.name for path in kept.files} == {"instance-secret", "ledger"}
    assert len(kept.spool_files) == 1
    before = dict(kept.ids)
    assert set(kept.forget()) == {*kept.files, *kept.spool_files}
    assert [file.name for file in config_dir.iterdir()] == ["last-opt-out"]
    assert not (tmp_path / "ledger").exists()
    assert list((tmp_path / "spool").iterdir()) == []
    assert (kept_of(environ=environ).ids, kept_of(environ=environ).files) == ((), ())
    broker.down = False
    again = make_telemetry()
    again.send_telemetry(tool_created())
    again.flush(timeout_seconds=10.0)
    assert not before.items() & dict(kept_of(environ=environ).ids).items()


def test_an_opt_out_leaves_the_ids_to_be_named(environ: dict[str, str], config_dir: Path) -> None:
    load_secret(environ)
    before = kept_of(environ=environ).ids
    store_choice(False, environ=environ)
    kept = kept_of(environ=environ)
    assert (kept.ids, [path.name for path in kept.files]) == (before, ["former-instance-ids"])
    kept.forget()
    assert kept_of(environ=environ).ids == ()
    assert sorted(file.name for file in config_dir.iterdir()) == ["choice", "last-opt-out"]


def test_a_secret_that_is_given_is_not_deleted_and_said(environ: dict[str, str]) -> None:
    environ["FLOWISE_TELEMETRY_INSTANCE_SECRET"] = "sixteen-and-more"
    kept = kept_of(environ=environ)
    assert (kept.given_by, len(kept.ids), kept.files) == ("FLOWISE_TELEMETRY_INSTANCE_SECRET", MONTHS, ())
