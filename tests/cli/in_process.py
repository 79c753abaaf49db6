"""The command in this process: quicker than a process of its own, where nothing of a process is asserted."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

from flowise_telemetry_cli.invocation import Invocation
from flowise_telemetry_cli.main import run
from tests.cli.program import Finished, environment

__all__ = ["run_command"]


def run_command(
    *arguments: str,
    folder: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    invocation: Invocation | None = None,
) -> Finished:
    """Run the command to its end, in the folder, without anyone's telemetry settings.

    ``os.environ`` gives way to another mapping. To change the process's own environment would crash it sooner or later:
    threads of ClickHouse's and Delta Lake's libraries read it, and setenv(3) does not wait for them.
    """
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.object(os, "environ", environment(folder, **(env or {}))),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        _same_garbage_collection(),
    ):
        status = run(arguments, invocation)
    return Finished(status, _text(stdout), _text(stderr))


def _text(stream: io.TextIOWrapper) -> str:
    content = stream.buffer
    assert isinstance(content, io.BytesIO)
    return content.getvalue().decode()


@contextlib.contextmanager
def _same_garbage_collection() -> Iterator[None]:
    """Undo ``tune_gc``, which is for processes that do nothing else."""
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
