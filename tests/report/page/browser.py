"""A headless Chromium, and a page in it whose errors and requests are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Dialog, Locator, Page, Playwright, Request, expect

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
"""Keep the browser from asking its maker for anything."""

ONE_ROW_IS_AS_THE_NEXT = "document.querySelectorAll('tbody tr:nth-child(n + 6)').forEach((row) => row.remove())"
"""Leaves five rows of each table, as axe-core takes its time for each."""

PATIENCE_SECONDS = 15
"""Longest wait for a thing of the page, on a busy machine."""

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


def launch(playwright: Playwright) -> Browser:
    """Start the Chromium of this machine; Playwright's own is never downloaded."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("no Chromium: install the package chromium, or name one by CHROMIUM=/path/to/it", pytrace=False)
    # Chromium refuses to run as root, as containers do, unless it may do without its sandbox.
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    return playwright.chromium.launch(executable_path=program, args=[*QUIET, *as_root])


@dataclass(slots=True)
class Visit:
    """A page that was opened, and all that went wrong on it."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def figure(self, name: str) -> Locator:
        return self.page.locator(f"article.figure[aria-labelledby={name}]")

    def option(self, name: str) -> dict[str, Any]:
        """Return what the chart of a figure was told to draw."""
        found: dict[str, Any] = (
            self.figure(name)
            .locator(".chart")
            .evaluate("place => JSON.parse(JSON.stringify(echarts.getInstanceByDom(place).getOption()))")
        )
        return found

    def is_wide(self) -> bool:
        """Tell whether anything reaches out of the window to the right."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def violations(self) -> list[tuple[str, list[Any]]]:
        """Return what axe-core finds, each with its places."""
        # Evaluated by the browser's debugger, which the page's policy does not bind.
        self.page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations', 'incomplete'] })")
        return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]

    def open_everything(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


@contextmanager
def visit(browser: Browser, file: Path, **context: Any) -> Iterator[Visit]:
    """Open a file in a new context; fail at the end for each error, refusal of the policy, dialog or request."""
    opened = browser.new_context(**context)
    opened.set_default_timeout(PATIENCE_SECONDS * 1000)
    try:
        visited = Visit(opened.new_page())
        page, wrong = visited.page, visited.wrong

        def on_dialog(dialog: Dialog) -> None:
            wrong.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def on_request(request: Request) -> None:
            if request.url != file.as_uri():
                wrong.append(f"request: {request.url}")

        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", on_dialog)
        page.on("request", on_request)
        page.goto(file.as_uri())
        yield visited
        assert wrong == []
    finally:
        opened.close()
