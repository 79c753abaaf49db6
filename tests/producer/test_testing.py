from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowise_telemetry import OriginType, ToolCreated, ValidationError
from flowise_telemetry.testing import TelemetryRecorder
from tests.producer.samples import ID, prediction_sent, tool_created


def test_the_recorder_tells_what_was_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config_dir: Path) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "1")  # of a developer, whose tests should run all the same
    Path(".env").write_text("DISABLE_FLOWISE_TELEMETRY=1\n")
    with TelemetryRecorder(app_version="1.2.3") as recorder:
        recorder.assert_nothing_sent()
        recorder.telemetry.send_telemetry(tool_created(1))
        recorder.telemetry.send_telemetry(prediction_sent())
        recorder.assert_sent(tool_created(1), times=1)
        (found,) = recorder.assert_sent("tool_created", toolName="get_weather", version="1.2.3")
        assert found.properties["toolId"].endswith("1")
        assert [event.event for event in recorder.events()] == ["tool_created", "prediction_sent"]
        recorder.clear()
        recorder.assert_nothing_sent()
    assert not config_dir.exists()


def test_assertions_take_the_names_of_python_and_those_of_the_wire() -> None:
    event = prediction_sent()
    with TelemetryRecorder(app_version="1.2.3") as recorder:
        recorder.telemetry.send_telemetry(event)
        recorder.assert_sent("prediction_sent", times=1, chatflow_id=ID, chat_id=ID, type=OriginType.EXTERNAL)
        recorder.assert_sent("prediction_sent", times=1, chatflowId=ID, chatlowId=ID, type="EXTERNAL", version="1.2.3")
        recorder.assert_sent("prediction_sent", times=1, flow_graph=event.flow_graph)
        recorder.assert_sent("prediction_sent", times=1, flowGraph=event.flow_graph.properties())
        recorder.assert_sent(event, times=1, version="1.2.3")
        with pytest.raises(ValueError, match=r"prediction_sent has no tool_name; there are: .*chatflow_id"):
            recorder.assert_sent("prediction_sent", tool_name="a")


def test_a_failed_assertion_shows_what_was_sent() -> None:
    with TelemetryRecorder() as recorder:
        recorder.telemetry.send_telemetry(tool_created())
        with pytest.raises(AssertionError, match="get_weather"):
            recorder.assert_sent("tool_created", toolName="other")
        with pytest.raises(AssertionError, match="expected 2 times"):
            recorder.assert_sent("tool_created", times=2)
        with pytest.raises(AssertionError, match="expected no events"):
            recorder.assert_nothing_sent()
        with pytest.raises(ValueError, match="there are: assistant_created"):
            recorder.assert_sent("tool_make")


def test_the_recorder_is_strict_unless_told_otherwise() -> None:
    bad = ToolCreated(tool_id=ID, tool_name="two words")
    with TelemetryRecorder() as recorder, pytest.raises(ValidationError):
        recorder.telemetry.send_telemetry(bad)
    with TelemetryRecorder(strict=False) as recorder:
        recorder.telemetry.send_telemetry(bad)
        recorder.assert_sent("tool_created", tool_id=ID, tool_name=None)
        assert recorder.telemetry.stats().withheld == {"tool_created.toolName: not_a_name": 1}


@pytest.mark.slow
def test_pytest_has_it_as_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(
        "from flowise_telemetry import OriginType, ToolCreated\n"
        "def test_it(telemetry_recorder):\n"
        f"    telemetry_recorder.telemetry.send_telemetry(ToolCreated(tool_id='{ID}', tool_name='a_tool'))\n"
        "    telemetry_recorder.assert_sent('tool_created', times=1, toolName='a_tool')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("line", ["disable_flowise_telemetry = true", ""])
def test_one_line_turns_it_off_in_the_tests_of_an_app(line: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{line}\n")
    app = "from flowise_telemetry import Telemetry\ntelemetry = Telemetry(app_version='1.0.0', env_file='/dev/null')\n"
    (tmp_path / "conftest.py").write_text(app)
    (tmp_path / "test_app.py").write_text(
        "import os, subprocess, sys, conftest\n"
        "def test_it(telemetry_recorder):\n"
        f"    on = {not line}\n"
        "    assert conftest.telemetry.consent.enabled is on\n"
        f"    code = {app!r} + 'print(telemetry.consent.enabled)'\n"
        "    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "    assert done.stdout == f'{on}\\n'\n"
        "    assert telemetry_recorder.telemetry.active\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_app_needs_no_pytest() -> None:
    code = "import sys, flowise_telemetry.testing; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
