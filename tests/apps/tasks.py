"""The Celery app: one event for each task. Its broker is a folder, so it needs no server."""

from __future__ import annotations

from pathlib import Path

from celery import Celery  # type: ignore[import-untyped]
from sending import send  # type: ignore[import-not-found]  # beside it, on the path of the worker

app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": "queue",
    "data_folder_out": "queue",
    "control_folder": "control",
}


@app.task  # type: ignore[untyped-decorator]
def work(number: int) -> None:
    send(number)
    (Path("done") / str(number)).touch()
