"""Files of a report, each of which appears whole."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from flowise_telemetry_report.document import Report
from flowise_telemetry_report.files.json_text import as_json
from flowise_telemetry_schemas import ConfigurationError

__all__ = ["NUMBERS_FILE", "write_file", "write_folder"]

NUMBERS_FILE = "report.json"


def write_file(path: Path, text: str) -> None:
    """Write or replace a file. Raises ``ConfigurationError`` with ``argument`` out where it cannot be written."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}", argument="out") from error


def write_folder(folder: Path, report: Report, pages: Mapping[str, str]) -> None:
    """Write ``pages`` by name into a folder, and the numbers beside them: ``report.json``, a CSV file a figure.

    The folder is made if it is missing; files of an earlier report are replaced. Raises as ``write_file``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}", argument="out") from error
    for section in report.sections:
        for figure in section.figures:
            text = io.StringIO()
            rows = csv.writer(text)
            rows.writerow(column.name for column in figure.columns)
            rows.writerows(figure.rows)
            write_file(folder / f"{figure.id}.csv", text.getvalue())
    write_file(folder / NUMBERS_FILE, as_json(report))
    for name, page in pages.items():
        write_file(folder / name, page)
