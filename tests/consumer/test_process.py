"""The standard error of a process that moves records: our lines, and nothing that a library prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A length that no body can have makes the reader of blocks panic, and print a number out of the record.
PROGRAM = """
import logging
import sys
import threading
import warnings

from flowise_telemetry_cli.output.logging import start_logging
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.process import muted_native_code, separate_stderr
from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.varint import encode_long
from flowise_telemetry_transport import Record

if "separate" in sys.argv:
    separate_stderr()
    start_logging("json")
schema = catalog().latest("tool_created")
value = b"\\xc3\\x01" + schema.fingerprint + encode_long(4611686018427387904) + b"x" * 40
records = [Record("t", 0, offset, 0, b"k", value) for offset in range(40)]
dead = Decoder(catalog()).decode(records).dead
with muted_native_code():
    logging.getLogger("test").warning("%d dead letters", len(dead))
warnings.warn("secret-value", stacklevel=1)
thread = threading.Thread(target=lambda: int("secret-value"))
thread.start()
thread.join()
"""


def stderr_of(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stderr


def test_a_panic_prints_nothing_and_each_line_is_ours() -> None:
    lines = [json.loads(line) for line in stderr_of("separate").splitlines()]
    assert [line["message"] for line in lines] == [
        "40 dead letters",
        "UserWarning at <string>:23",
        "ValueError at <string>:24 ended a thread",
    ]


def test_a_program_that_embeds_us_keeps_its_stderr() -> None:
    assert "panicked" in stderr_of()
