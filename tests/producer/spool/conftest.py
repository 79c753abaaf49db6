"""A spool folder, named by the environment of the app."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def spool_dir(tmp_path: Path, environ: dict[str, str]) -> Path:
    environ["FLOWISE_TELEMETRY_SPOOL_DIR"] = str(tmp_path / "spool")
    return tmp_path / "spool"
