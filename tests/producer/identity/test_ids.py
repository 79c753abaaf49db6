from __future__ import annotations

import hashlib
import hmac
import random
import stat
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowise_telemetry.identity.instance_id import InstanceId, find_secret, load_secret
from flowise_telemetry.identity.uuid7 import Uuid7
from flowise_telemetry_transport import InMemoryBroker
from tests.producer.conftest import MakeTelemetry
from tests.producer.samples import stored, tool_created

JANUARY_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY_MS = 86_400_000
SECRET = b"0123456789abcdef0123456789abcdef"


@given(st.lists(st.integers(min_value=0, max_value=2**47), min_size=1, max_size=200))
def test_event_ids_are_uuid7_and_ascend_whatever_the_clock_does(moments: list[int]) -> None:
    maker = Uuid7()
    ids = [maker.make(moment) for moment in moments]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    for text in ids:
        made = uuid.UUID(text)
        assert str(made) == text
        assert (made.version, made.variant) == (7, uuid.RFC_4122)


@given(st.integers(min_value=0, max_value=2**47))
def test_the_first_id_of_a_millisecond_carries_it(moment: int) -> None:
    assert int(Uuid7().make(moment).replace("-", "")[:12], 16) == moment


def test_ids_of_many_threads_are_unique() -> None:
    maker, made = Uuid7(), list[str]()
    threads = [threading.Thread(target=lambda: made.extend(maker.make(1) for _ in range(2000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_the_instance_id_is_one_for_the_month_and_another_for_the_next() -> None:
    ids = InstanceId(SECRET)
    assert ids.at(JANUARY_MS) == ids.at(JANUARY_MS + 31 * DAY_MS - 1)
    assert ids.at(JANUARY_MS) != ids.at(JANUARY_MS - 1)
    assert ids.at(JANUARY_MS) != ids.at(JANUARY_MS + 31 * DAY_MS)
    made = uuid.UUID(ids.at(JANUARY_MS))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)


def test_the_instance_id_is_the_same_in_every_process_and_differs_by_secret() -> None:
    # The first 16 bytes of HMAC-SHA256(secret, "2026-01"), with version 8 and the RFC's variant.
    digest = hmac.new(SECRET, b"2026-01", hashlib.sha256).hexdigest()
    made = InstanceId(SECRET).at(JANUARY_MS).replace("-", "")
    assert made[:12] == digest[:12]
    assert made[13:16] == digest[13:16]
    assert made[17:] == digest[17:32]
    assert made != InstanceId(SECRET[::-1]).at(JANUARY_MS).replace("-", "")


def test_the_secret_is_made_once_for_this_user_only(environ: dict[str, str], config_dir: Path) -> None:
    assert find_secret(environ) is None
    assert not config_dir.exists()
    secret = load_secret(environ)
    path = config_dir / "instance-secret"
    assert len(secret) == 32
    assert bytes.fromhex(path.read_text()) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config_dir.stat().st_mode) == 0o700
    assert load_secret(environ) == secret
    assert [file.name for file in config_dir.iterdir()] == ["instance-secret"]


def test_processes_that_start_at_once_agree_on_one_secret(environ: dict[str, str]) -> None:
    found: list[bytes] = []
    start = threading.Barrier(8)

    def begin() -> None:
        start.wait()
        found.append(load_secret(environ))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_a_damaged_secret_is_replaced(environ: dict[str, str], config_dir: Path) -> None:
    config_dir.mkdir()
    (config_dir / "instance-secret").write_text("not hex")
    secret = load_secret(environ)
    assert find_secret(environ) == secret


@pytest.mark.parametrize("how", ["variable", "mounted file"])
def test_a_container_is_given_its_secret(how: str, environ: dict[str, str], config_dir: Path, tmp_path: Path) -> None:
    if how == "variable":
        environ["FLOWISE_TELEMETRY_INSTANCE_SECRET"] = "sixteen-and-more"
    else:
        (tmp_path / "mounted").write_text("sixteen-and-more\n")
        environ["FLOWISE_TELEMETRY_INSTANCE_SECRET_FILE"] = str(tmp_path / "mounted")
    assert load_secret(environ) == b"sixteen-and-more"
    assert not config_dir.exists()


@pytest.mark.parametrize("given", ["too-short", "missing file"])
def test_a_given_secret_that_is_no_good_costs_one_warning_and_is_not_used(
    given: str, environ: dict[str, str], config_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "FLOWISE_TELEMETRY_INSTANCE_SECRET" + ("" if given == "too-short" else "_FILE")
    environ[name] = given if given == "too-short" else str(tmp_path / "nowhere")
    assert len(load_secret(environ)) == 32
    assert not config_dir.exists()
    assert len(caplog.records) == 1
    assert "too-short" not in caplog.text


def test_a_folder_that_cannot_be_made_costs_one_warning_and_no_event(
    make_telemetry: MakeTelemetry, broker: InMemoryBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    telemetry = make_telemetry(environ={"FLOWISE_TELEMETRY_CONFIG_DIR": str(tmp_path / "file" / "config")})
    for number in range(3):
        telemetry.send_telemetry(tool_created(number))
    assert telemetry.flush(5.0)
    assert len({record["instanceId"] for record in stored(broker)}) == 1
    assert [line.levelname for line in caplog.records] == ["WARNING"]


def test_the_seed_of_the_app_changes_nothing() -> None:
    random.seed(1)
    first = Uuid7().make(5)
    random.seed(1)
    assert Uuid7().make(5) != first
