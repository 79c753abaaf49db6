"""``flowise-telemetry audit``: list every place in an app's sources that sends an event."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from flowise_telemetry_cli.commands.audit.findings import Report
from flowise_telemetry_cli.commands.audit.javascript import SUFFIXES, audit_javascript
from flowise_telemetry_cli.commands.audit.python import audit_python
from flowise_telemetry_cli.errors import DONE, FAILED
from flowise_telemetry_cli.invocation import Invocation, pass_invocation
from flowise_telemetry_cli.options import json_option, schemas_option
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_transport.topics import EVENTS_TOPIC

__all__ = ["audit"]

MAX_FILE_BYTES = 4_194_304
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "dist", "build", "venv"}


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--topic", default=EVENTS_TOPIC, show_default=True, help="Topic on which raw use of a Kafka client is flagged."
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if anything is flagged.")
@schemas_option
@json_option("Print one JSON object.")
@pass_invocation
def audit(invocation: Invocation, *, path: Path, topic: str, strict: bool, as_json: bool) -> int:
    """List every call in PATH that sends an event: file, line, event, and the expressions that fill its fields.

    Reads Python and, with the extra audit, TypeScript and JavaScript, without running any of it. Flags events and
    properties that no schema names, those that cannot be determined from the source, and raw use of a Kafka client on
    the topic. Skips folders of dependencies and build results.

    \b
    Example:
      flowise-telemetry audit --strict src/
    """
    report = Report()
    for file in _sources(path):
        source = file.read_bytes()[:MAX_FILE_BYTES].decode("utf-8", "replace")
        report.files += 1
        if file.suffix == ".py":
            audit_python(file, source, topic, report, invocation.catalog)
        else:
            audit_javascript(file, source, report, invocation.catalog)
    if as_json:
        echo(json.dumps(asdict(report), default=str))
    else:
        _show(report)
    return FAILED if strict and report.findings else DONE


def _sources(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(files):
            file = Path(folder) / name
            if file.suffix == ".py" or file.suffix in SUFFIXES:
                yield file


def _show(report: Report) -> None:
    for call in report.calls:
        echo(f"{call.file}:{call.line}: {call.event or 'unknown event'}")
        for name, expression in call.fields.items():
            echo(f"    {name} = {expression}")
    if report.findings:
        echo("\nflagged:")
    for finding in report.findings:
        echo(f"{finding.file}:{finding.line}: {finding.kind}: {finding.message}")
    echo(f"\n{len(report.calls)} calls in {report.files} files, {len(report.findings)} flagged")
