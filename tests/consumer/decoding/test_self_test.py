"""The self-test of the Avro reader, on readers that read otherwise than the installed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import IO

import polars as pl
import pytest

from flowise_telemetry_consumer.decoding.avro_block import ReadAvro
from flowise_telemetry_consumer.decoding.decoder import Decoder
from flowise_telemetry_consumer.decoding.self_test import reader_fault
from flowise_telemetry_schemas import catalog
from tests.consumer.world import records, value_of

GUARD = "__guard"


def as_read(change: Callable[[pl.DataFrame], pl.DataFrame]) -> ReadAvro:
    """A reader whose frames are changed; what polars refuses, it refuses."""
    return lambda file: change(pl.read_avro(file))


def refusing(_file: IO[bytes]) -> pl.DataFrame:
    raise pl.exceptions.ComputeError("there is no reader of Avro any more")


def lenient(file: IO[bytes]) -> pl.DataFrame:
    """A reader that finds every guard, wherever the bytes are: of each row it gives the first row's."""
    return pl.read_avro(file).with_columns(pl.col(GUARD).first())


def clamping(file: IO[bytes]) -> pl.DataFrame:
    """A reader that makes a symbol of any index."""
    return pl.read_avro(file).with_columns(pl.col("kind").clip(0, 2))


def with_columns(*columns: pl.Expr) -> ReadAvro:
    return as_read(lambda frame: frame.with_columns(*columns))


FAULTS: dict[str, tuple[ReadAvro, str]] = {
    "it refuses everything": (refusing, "it refuses good records"),
    "it leaves a row out": (as_read(lambda frame: frame.head(-1)), "it refuses good records"),
    "its rows are in another order": (as_read(lambda frame: frame.reverse()), "it reads other values"),
    "its longs are cut to 16 bits": (with_columns(pl.col("large") & 0xFFFF), "it reads other values"),
    "its ints are narrow": (with_columns(pl.col("small").cast(pl.Int32)), "it reads other types"),
    "its times are times": (with_columns(pl.col("moment").cast(pl.Datetime("ms"))), "it reads other types"),
    "it has no guards": (as_read(lambda frame: frame.drop(GUARD)), "its columns cannot be used: "),
    "it finds all guards": (lenient, "it accepts a text that is shorter than its bytes"),
    "it makes a symbol of any index": (clamping, "it accepts an enum past its symbols"),
}


def test_the_installed_reader_passes_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert reader_fault(pl.read_avro) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_reader_that_reads_otherwise_is_found(kind: str) -> None:
    read_avro, fault = FAULTS[kind]
    assert (reader_fault(read_avro) or "it passes").startswith(fault)


@pytest.mark.parametrize("kind", FAULTS)
def test_without_an_exact_reader_every_record_is_decoded_by_itself(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    read_avro, fault = FAULTS[kind]
    values = [value_of(number) for number in range(60)]
    values[30] = values[30][:-1]

    def this_reader(file: IO[bytes]) -> pl.DataFrame:
        return read_avro(file)  # another one for each test: the warning comes once for each reader

    caplog.set_level(logging.WARNING, "flowise_telemetry")
    expected = Decoder(catalog()).decode(records(values))
    assert caplog.messages == []
    for _ in range(3):
        result = Decoder(catalog(), read_avro=this_reader).decode(records(values))
        assert result.one_by_one == 60
        assert list(result.dead) == list(expected.dead)
        assert {event: frame.rows() for event, frame in result.frames.items()} == {
            event: frame.rows() for event, frame in expected.frames.items()
        }
    (warning,) = caplog.messages
    assert warning.startswith(f"polars {pl.__version__} does not read Avro as this release expects ({fault}")
