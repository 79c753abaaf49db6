"""The first steps of a newcomer: README's snippet as it stands there, and what is said when something goes wrong."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowise_telemetry.first_warning import FirstWarning

README = Path(__file__).parents[2] / "README.md"

APP = """
import logging
SETTING
from flowise_telemetry import Telemetry, ToolCreated
telemetry = Telemetry(app_version="1.0.0", bootstrap_servers="127.0.0.1:1", env_file="/dev/null")
for name in ("a_tool", "two words"):
    telemetry.send_telemetry(ToolCreated(tool_id="0e0f0a0b-1c2d-4e3f-8a9b-0123456789ab", tool_name=name))
telemetry.flush(1.5)
telemetry.close(timeout_seconds=0.1)
"""


def run(code: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.slow
def test_the_snippet_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"## In an app\n.*?```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    done = run(snippet, tmp_path, FLOWISE_TELEMETRY_DEBUG="1")
    assert '"event": "prediction_sent"' in done.stderr
    assert '"chatOpenAI_0"' in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "lines"),
    [
        ("", 1),
        ("logging.getLogger().addHandler(logging.NullHandler())", 0),
        ("logging.getLogger('flowise_telemetry').addHandler(logging.NullHandler())", 0),
        ("logging.getLogger('flowise_telemetry').setLevel(logging.CRITICAL)", 0),
        ("logging.getLogger('flowise_telemetry').propagate = False", 0),
        ("logging.basicConfig()", 0),
    ],
)
def test_the_first_thing_that_goes_wrong_is_said_once(setting: str, lines: int, tmp_path: Path) -> None:
    said = run(APP.replace("SETTING", setting), tmp_path).stderr.splitlines()
    once = [line for line in said if "said once" in line]
    if setting == "logging.basicConfig()":
        assert said
        assert not once  # its own handler has them all
    else:
        assert len(once) == len(said) == lines


def test_a_consumer_in_the_same_process_has_a_reader_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    handler = FirstWarning()
    told = logging.LogRecord("flowise_telemetry.consumer", logging.WARNING, "", 0, "the sink is away", None, None)
    handler.emit(told)
    assert capsys.readouterr().err == ""
