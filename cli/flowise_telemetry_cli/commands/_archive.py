"""The end of a replay from an archive or of an import: its accounts by event, its rejects, its exit status."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from flowise_telemetry_cli.errors import DONE, FAILED, INCOMPLETE
from flowise_telemetry_cli.output.safe import echo
from flowise_telemetry_cli.output.table import table
from flowise_telemetry_consumer.archives.rejects import Reject, RejectsFile
from flowise_telemetry_consumer.replay import ArchivePlan, ArchiveResult

__all__ = [
    "FirstRejects",
    "archive_verdict",
    "begin_rejects",
    "rejects_beside",
    "report_archive",
    "report_archive_plan",
]

_MAX_NAME_CHARACTERS = 100
_SHOWN_REJECTS = 10


def begin_rejects(rejects: RejectsFile, source: str, starts: Mapping[str, int]) -> None:
    """Remove what an earlier run set aside, but for rows that are not read again: ``starts`` of each event."""
    rejects.close()
    rejects.begin({(source, event): row + 1 for event, row in starts.items()})


def rejects_beside(source: str) -> Path:
    """Return the default path for an archive: named after it, in this folder."""
    name = source.rstrip("/").rpartition("/")[2].partition("?")[0]
    plain = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    return Path(f"{plain[-_MAX_NAME_CHARACTERS:] or 'archive'}.rejects.jsonl")


class FirstRejects:
    """The first rejects of a dry run, which writes no file."""

    def __init__(self) -> None:
        self._shown = 0

    def keep(self, rejects: Sequence[Reject]) -> None:
        """Say on stderr what is wrong with the first few."""
        for reject in rejects[: _SHOWN_REJECTS - self._shown]:
            self._shown += 1
            echo(f"{reject.source}: {reject}", err=True)


def report_archive(
    result: ArchiveResult,
    *,
    as_json: bool,
    rejects: RejectsFile | None = None,
    to_stderr: bool = False,
    dropped: Mapping[str, int] | None = None,
) -> None:
    """Print the result: a table, or one JSON object; ``to_stderr`` if the events themselves go to stdout.

    ``dropped`` is what another system's lines had that is left out by intent.
    """
    say = partial(echo, err=to_stderr)
    if result.before:
        echo(f"note: resumed after {result.before:,} events that were read before", err=True)
    if as_json:
        say(json.dumps(_document(result, dropped) | {"rejects": _path_text(rejects)}))
        return
    _print_accounts(result, ("read", "written", "already there", "erased", "filtered", "rejected"), say, dropped)


def archive_verdict(result: ArchiveResult, rejects: RejectsFile | None = None, *, mend: str | None = None) -> int:
    """Return the exit status, with a line on stderr for every shortfall; ``mend`` says how to go on."""
    wrong = result.discrepancies()
    for line in wrong:
        echo(f"error: the rows do not add up: {line}", err=True)
    status = FAILED if wrong else DONE
    if result.incomplete is not None:
        mend = mend or "run it again; events already written stay"
        echo(f"error: incomplete: {result.incomplete}: {mend}", err=True)
        status = status or INCOMPLETE
    rejected = result.rejected if rejects is None else rejects.count
    if rejected:
        are = "1 is no valid event and was" if rejected == 1 else f"{rejected:,} are no valid events and were"
        where = "" if rejects is None else f": {rejects.path} says which, and why"
        echo(f"error: incomplete: {are} set aside{where}", err=True)
        status = status or INCOMPLETE
    return status


def report_archive_plan(plan: ArchivePlan, *, as_json: bool, dropped: Mapping[str, int] | None = None) -> int:
    """Print what would be written and return the exit status that the work itself would have."""
    result = plan.result
    if as_json:
        echo(json.dumps(_document(result, dropped) | {"dry_run": True, "sink_error": plan.sink_error}))
    else:
        _print_accounts(result, ("read", "already there", "erased", "filtered", "rejected", "to write"), echo, dropped)
    if plan.sink_error is not None:
        echo(f"note: the sink is taken to be empty: {plan.sink_error}", err=True)
    echo("dry run: nothing was changed", err=True)
    return archive_verdict(result)


def _print_accounts(
    result: ArchiveResult, columns: Sequence[str], say: Callable[..., None], dropped: Mapping[str, int] | None = None
) -> None:
    if not any(event.erased for event in result.events.values()):
        columns = [column for column in columns if column != "erased"]
    rows = []
    for name, event in sorted(result.events.items()):
        counts = dataclasses.asdict(event) | {"already there": event.already_there, "to write": event.written}
        rows.append((name, *(counts[column] for column in columns)))
    say(table(("event", *columns), rows))
    if result.rejects:
        say()
        say(table(("rejected for", "count"), sorted(result.rejects.items())))
    if dropped is not None:
        say()
        say(table(("left out", "count"), [(name.replace("_", " "), count) for name, count in dropped.items()]))


def _document(result: ArchiveResult, dropped: Mapping[str, int] | None = None) -> dict[str, object]:
    return {
        "complete": result.incomplete is None,
        "adds_up": not result.discrepancies(),
        "before": result.before,
        "events": {
            name: {**dataclasses.asdict(event), "total": event.read if event.total is None else event.total}
            for name, event in sorted(result.events.items())
        },
        "rejected": dict(sorted(result.rejects.items())),
        **({} if dropped is None else {"left_out": dict(dropped)}),
    }


def _path_text(rejects: RejectsFile | None) -> str | None:
    return None if rejects is None or not rejects.count else str(rejects.path)
