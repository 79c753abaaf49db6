"""What the producer writes is for its own user alone, whatever the mask of the app."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowise_telemetry.consent.stored_choice import store_choice
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import tool_created

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")


@pytest.fixture(autouse=True)
def no_mask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_secret_spool_and_ledger(
    make_telemetry: MakeTelemetry, environ: dict[str, str], config_dir: Path, tmp_path: Path
) -> None:
    telemetry = make_telemetry(spool_dir=tmp_path / "spool", ledger_path=tmp_path / "ledgers" / "ledger")
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush()
    store_choice(True, environ=environ)
    made = [path for folder in (config_dir, tmp_path / "spool", tmp_path / "ledgers") for path in folder.rglob("*")]
    assert len(made) > 3, made
    for path in [*made, config_dir, tmp_path / "spool", tmp_path / "ledgers"]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert (path.name, mode) == (path.name, 0o700 if path.is_dir() else 0o600)
