"""Where choices are kept, by what says whose home it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowise_telemetry.config_folder import config_folder


@pytest.mark.skipif(os.name == "nt", reason="HOME is of POSIX systems")
@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_home_is_none_and_not_the_root_folder(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    monkeypatch.setenv("HOME", blank)
    of_user = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert config_folder({"HOME": blank}) == of_user / ".config" / "flowise-telemetry"


def test_what_is_given_comes_before_it(tmp_path: Path) -> None:
    assert config_folder({"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path), "HOME": "/other"}) == tmp_path
    assert config_folder({"HOME": str(tmp_path)}) == tmp_path / ".config" / "flowise-telemetry"
