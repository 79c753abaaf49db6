from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from flowise_telemetry import Telemetry
from flowise_telemetry.consent.decision import Consent
from flowise_telemetry.consent.status import status
from flowise_telemetry.consent.stored_choice import store_choice
from flowise_telemetry.consent.watch import OptOutWatch
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created, wait_until


def consent(environ: Mapping[str, str], **settings: object) -> Consent:
    telemetry = Telemetry(app_version="3.0.1", environ=environ, **settings)  # type: ignore[arg-type]  # by name
    return telemetry.consent


@pytest.mark.parametrize("value", ["1", "true", "TRUE", " yes ", "on", "please", "2", "disabled", "n"])
@pytest.mark.parametrize("name", ["DISABLE_FLOWISE_TELEMETRY", "DO_NOT_TRACK"])
def test_anything_but_a_no_turns_it_off(name: str, value: str, environ: dict[str, str]) -> None:
    found = consent({**environ, name: value})
    assert found == Consent(False, f"{name} in the environment")


@pytest.mark.parametrize("value", ["", " ", "0", "false", "False", "no", "NO", "off"])
@pytest.mark.parametrize("name", ["DISABLE_FLOWISE_TELEMETRY", "DO_NOT_TRACK"])
def test_a_no_or_nothing_leaves_it_on(name: str, value: str, environ: dict[str, str]) -> None:
    assert consent({**environ, name: value}).enabled


@pytest.mark.parametrize("name", ["disable_flowise_telemetry", "do_not_track"])
def test_a_variable_in_lower_case_counts(name: str, environ: dict[str, str]) -> None:
    assert consent({**environ, name: "1"}) == Consent(False, f"{name} in the environment")


@pytest.mark.parametrize(
    "spelling",
    [
        "Disable_Flowise_Telemetry",
        "\ufeffDISABLE_FLOWISE_TELEMETRY",
        "DISABLE_FLOWISE_TELEMETRY ",
        "export DISABLE_FLOWISE_TELEMETRY",
        "disable-flowise-telemetry",
        "".join(chr(ord(character) + 0xFEE0) for character in "DISABLE_FLOWISE_TELEMETRY"),
    ],
)
def test_a_variable_whose_name_is_meant_counts_at_the_start_and_later(
    spelling: str, environ: dict[str, str], make_telemetry: MakeTelemetry
) -> None:
    off = Consent(False, "DISABLE_FLOWISE_TELEMETRY in the environment")
    assert consent({**environ, spelling: "true"}, enabled=True) == off
    assert consent({**environ, spelling: "false", "MY_DISABLE_FLOWISE_TELEMETRY": "true"}).enabled
    now = [0.0]
    watch = OptOutWatch(environ, environ, clock=lambda: now[0])
    assert watch.opt_out() is None
    environ[spelling] = "1"
    now[0] += 5.0
    assert watch.opt_out() == off


@pytest.mark.parametrize("value", [False, 0, "", " ", "0", "false", "False", "no", "NO ", "off", "n", "disabled", b"1"])
def test_an_argument_that_is_not_plainly_a_yes_is_a_no(value: object, environ: dict[str, str]) -> None:
    found = consent(environ, enabled=value)
    assert not found.enabled
    assert found.decided_by.startswith("the argument enabled=")
    assert "True" not in found.decided_by


@pytest.mark.parametrize("value", [True, 1, "1", "true", "TRUE", "yes", "on"])
def test_an_argument_that_is_a_yes_decides(value: object, environ: dict[str, str]) -> None:
    assert consent(environ, enabled=value) == Consent(True, f"the argument enabled={value!r}")


def test_a_blank_variable_is_no_other_place_for_the_choice(environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / "their.env").write_text("FLOWISE_TELEMETRY_CONFIG_DIR=theirs\n")
    environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": " ", "HOME": str(working_directory)}
    assert store_choice(False, environ=environ, env_file="their.env").path == Path("theirs/choice")
    found = status(environ=environ, env_file="their.env")
    assert (found.enabled, found.choice_file) == (False, Path("theirs/choice"))
    assert not consent(environ, env_file="their.env").enabled


def test_on_by_default(environ: dict[str, str]) -> None:
    assert consent(environ) == Consent(True, "the default")


def test_the_env_file_of_the_working_directory_is_read(environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").write_text("OTHER=1\nexport DISABLE_FLOWISE_TELEMETRY='true'\n")
    before = dict(os.environ)
    assert consent(environ) == Consent(False, "DISABLE_FLOWISE_TELEMETRY in .env")
    assert dict(os.environ) == before


def test_an_env_file_given_is_read_in_its_place(environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").write_text("DISABLE_FLOWISE_TELEMETRY=true\n")
    other = working_directory / "other.env"
    other.write_text("DO_NOT_TRACK=1\n")
    assert consent(environ, env_file=other).decided_by == f"DO_NOT_TRACK in {other}"
    other.write_text("")
    assert consent(environ, env_file=str(other)).enabled


def test_settings_come_from_the_env_file_too(environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").write_text(
        "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=one:9092\nFLOWISE_TELEMETRY_TOPIC=theirs\n"
    )
    found = status(environ=environ)
    assert (found.active, found.bootstrap_servers, found.topic) == (True, "one:9092", "theirs")
    found = status(environ={**environ, "FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS": "two:9092"})
    assert (found.bootstrap_servers, found.topic) == ("two:9092", "theirs")


OPT_OUTS = ["argument", "DISABLE", "DO_NOT_TRACK", "env file", "stored"]


@pytest.mark.parametrize("opt_out", OPT_OUTS)
def test_one_opt_out_wins_over_every_opt_in(opt_out: str, environ: dict[str, str], working_directory: Path) -> None:
    # crewAI#2945: an opt-out set in the program was ignored.
    environ |= {"DISABLE_FLOWISE_TELEMETRY": "false", "DO_NOT_TRACK": "0"}
    file = working_directory / ".env"
    file.write_text("DISABLE_FLOWISE_TELEMETRY=false\nDO_NOT_TRACK=0\n")
    store_choice(True, environ=environ)
    argument = True
    match opt_out:
        case "argument":
            argument = False
        case "DISABLE":
            environ["DISABLE_FLOWISE_TELEMETRY"] = "true"
        case "DO_NOT_TRACK":
            environ["DO_NOT_TRACK"] = "1"
        case "env file":
            file.write_text("DISABLE_FLOWISE_TELEMETRY=true\n")
        case "stored":
            store_choice(False, environ=environ)
    assert not consent(environ, enabled=argument).enabled


def test_the_first_yes_is_named_where_nobody_says_no(environ: dict[str, str], working_directory: Path) -> None:
    store_choice(True, environ=environ)
    assert consent(environ).decided_by == "the stored choice (flowise-telemetry enable)"
    (working_directory / ".env").write_text("DO_NOT_TRACK=0\n")
    assert consent(environ).decided_by == "DO_NOT_TRACK in .env"
    environ["DISABLE_FLOWISE_TELEMETRY"] = "no"
    assert consent(environ).decided_by == "DISABLE_FLOWISE_TELEMETRY in the environment"
    assert consent(environ, enabled=True).decided_by == "the argument enabled=True"


def test_a_no_in_the_environment_opens_no_file(environ: dict[str, str], working_directory: Path) -> None:
    os.mkfifo(working_directory / ".env")  # reading it would wait for ever
    assert not consent({**environ, "DO_NOT_TRACK": "1"}).enabled


BROKEN: dict[str, tuple[str | bytes, bool]] = {
    "syntax error": ("FLOWISE_TELEMETRY_TOPIC=theirs\n= = nonsense\n'\n", True),
    "not UTF-8": (b"\xff\xfe\x00A=1\n", True),
    "a broken line that names the opt-out": ("DISABLE_FLOWISE_TELEMETRY='true\n", False),
    "the opt-out without a value": ("DISABLE_FLOWISE_TELEMETRY\n", False),
    "a broken line after the opt-out": ("DO_NOT_TRACK=1\n'''\n", False),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_env_file_is_one_warning_at_most(
    broken: str, environ: dict[str, str], working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text, enabled = BROKEN[broken]
    (working_directory / ".env").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert consent(environ).enabled is enabled
    assert len(caplog.records) <= 1


@pytest.mark.parametrize("kind", ["pipe", "too large"])
def test_doubt_about_the_env_file_is_a_no(kind: str, environ: dict[str, str], working_directory: Path) -> None:
    file = working_directory / ".env"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_text("#" * 2_000_000)
    found = consent(environ)
    assert not found.enabled
    assert ".env" in found.decided_by


def test_a_folder_called_env_is_no_file(environ: dict[str, str], working_directory: Path) -> None:
    (working_directory / ".env").mkdir()
    assert consent(environ).enabled


def test_an_env_file_that_is_not_there_is_one_warning(
    environ: dict[str, str], working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert consent(environ, env_file=working_directory / "nowhere").enabled
    assert len(caplog.records) == 1


def test_a_stored_choice_that_cannot_be_understood_is_a_no(environ: dict[str, str], config_dir: Path) -> None:
    path = store_choice(True, environ=environ).path
    assert path == config_dir / "choice"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("dis")
    found = consent(environ)
    assert not found.enabled
    assert str(path) in found.decided_by


@pytest.mark.slow
def test_turning_off_deletes_the_secret_and_the_spool(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str], tmp_path: Path, config_dir: Path
) -> None:
    environ["FLOWISE_TELEMETRY_SPOOL_DIR"] = str(tmp_path / "spool")
    broker.down = True
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    wait_until(lambda: telemetry.stats().spooled == 1)
    telemetry.close(timeout_seconds=2.0)
    secret = config_dir / "instance-secret"
    assert secret.exists()
    assert status(environ=environ).spooled_events == 1
    done = store_choice(False, environ=environ)
    assert secret in done.deleted
    assert len(done.deleted) == 2
    assert not secret.exists()
    assert list((tmp_path / "spool").iterdir()) == []
    found = status(environ=environ)
    assert (found.enabled, found.active, found.spooled_events, found.instance_id) == (False, False, 0, None)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["environment", "stored choice", ".env", "set_enabled"])
def test_an_opt_out_after_the_start_is_obeyed(
    how: str,
    make_telemetry: MakeTelemetry,
    broker: InMemoryBroker,
    environ: dict[str, str],
    tmp_path: Path,
    working_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker.down = True
    telemetry = make_telemetry(spool_dir=tmp_path / "spool")
    monkeypatch.chdir(tmp_path)  # the file that was read at the start is meant
    for number in range(3):
        telemetry.send_telemetry(tool_created(number))
    wait_until((tmp_path / "spool").exists)
    if how == "environment":
        environ["DO_NOT_TRACK"] = "1"
    elif how == ".env":
        (working_directory / ".env").write_text("DISABLE_FLOWISE_TELEMETRY=true\n")
    elif how == "set_enabled":
        assert telemetry.set_enabled(False)
    else:
        store_choice(False, environ=environ)
    telemetry.send_telemetry(tool_created())
    accepted = 3 if how == "set_enabled" else 4  # which is obeyed at once
    wait_until(lambda: telemetry.stats().dropped.get("opted_out") == accepted, timeout_seconds=30.0)
    assert not telemetry.active
    assert not telemetry.consent.enabled
    wait_until(lambda: list((tmp_path / "spool").iterdir()) == [])
    broker.down = False
    assert stored(broker) == []


def test_the_stored_choice_is_checked_again_after_its_interval(environ: dict[str, str]) -> None:
    now = 100.0
    watch = OptOutWatch(environ, environ, file_check_seconds=5.0, clock=lambda: now)
    assert watch.opt_out() is None
    store_choice(False, environ=environ)
    now += 4.9
    assert watch.opt_out() is None
    now += 0.1
    assert watch.opt_out() == Consent(False, "the stored choice (flowise-telemetry disable)")


def test_an_opt_out_before_the_first_send_starts_nothing(make_telemetry: MakeTelemetry, config_dir: Path) -> None:
    environ = {"FLOWISE_TELEMETRY_CONFIG_DIR": str(config_dir)}
    telemetry = make_telemetry(environ=environ)
    environ["DISABLE_FLOWISE_TELEMETRY"] = "true"
    telemetry.send_telemetry(tool_created())
    assert telemetry.stats().dropped == {"opted_out": 1}
    assert not config_dir.exists()


def test_without_servers_nothing_is_made_and_status_says_so(environ: dict[str, str], config_dir: Path) -> None:
    telemetry = Telemetry(app_version="3.0.1", environ=environ)
    telemetry.send_telemetry(tool_created())
    assert telemetry.consent.enabled
    assert not telemetry.active
    assert telemetry.stats().accepted == 0
    assert not config_dir.exists()
    assert (status(environ=environ).enabled, status(environ=environ).active) == (True, False)


def test_status_shows_this_months_id_once_there_is_a_secret(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, environ: dict[str, str]
) -> None:
    assert status(environ=environ).instance_id is None
    telemetry = make_telemetry()
    telemetry.send_telemetry(tool_created())
    assert telemetry.flush(5.0)
    assert status(environ=environ).instance_id == stored(broker)[0]["instanceId"]


def test_the_null_device_is_an_empty_file(
    environ: dict[str, str], working_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert consent(environ, env_file=os.devnull).decided_by == "the default"
    (working_directory / ".env").symlink_to(os.devnull)  # as a container sees one that is mounted over its file
    assert consent(environ).decided_by == "the default"
    assert not caplog.records
