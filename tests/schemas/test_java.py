"""Our bytes against Avro's Java library, the reference implementation."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from flowise_telemetry_schemas import catalog
from flowise_telemetry_schemas.codec import encode
from tests.schemas.records import EVENTS, record_of
from tests.services.maven import SHORT_LIVED, fetched

JAVA = Path(__file__).parent.parent / "java" / "avro"
AVSC = Path(__file__).parents[2] / "schemas" / "flowise_telemetry_schemas" / "avro"

pytestmark = [
    pytest.mark.java,
    pytest.mark.xdist_group("java"),  # compiled once
    pytest.mark.skipif(not (shutil.which("mvn") and shutil.which("javac")), reason="needs mvn and a JDK"),
]


@pytest.fixture(scope="module")
def java_output(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("java")
    jars = fetched(JAVA / "pom.xml", "avro-1.12.0")
    compiler = ["javac", *(f"-J{option}" for option in SHORT_LIVED), "-cp", f"{jars}/*"]
    subprocess.run([*compiler, "-d", folder, JAVA / "AvroMessages.java"], check=True, timeout=120)
    files = sorted(AVSC.glob("*/v*.avsc"))
    messages = "".join(encode(catalog().latest(event.EVENT), record_of(event)).hex() + "\n" for event in EVENTS)
    done = subprocess.run(
        ["java", *SHORT_LIVED, "-cp", f"{jars}/*:{folder}", "AvroMessages", *files],
        input=messages,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


def test_java_gives_the_schemas_the_same_fingerprints(java_output: list[str]) -> None:
    lines = [line.split() for line in java_output if line.startswith("fingerprint ")]
    assert {(Path(file).parent.name, Path(file).stem): number for _, file, number in lines} == {
        (schema.event, f"v{schema.version}"): schema.fingerprint_hex for schema in catalog()
    }


def test_java_reads_our_messages_and_writes_the_same_bytes(java_output: list[str]) -> None:
    lines = [line.split(" ", 2) for line in java_output if not line.startswith("fingerprint ")]
    assert len(lines) == len(EVENTS)
    for event, (name, message, record) in zip(EVENTS, lines, strict=True):
        schema = catalog().latest(event.EVENT)
        assert name == schema.name
        assert bytes.fromhex(message) == encode(schema, record_of(event))
        # Java prints a timestamp as text: all other fields are compared as JSON.
        printed = {key: value for key, value in json.loads(record).items() if key != "occurredAt"}
        assert printed == {key: value for key, value in record_of(event).items() if key != "occurredAt"}
