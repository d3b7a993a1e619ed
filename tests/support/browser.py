"""A real Chromium, without a window, that remembers what went wrong in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from gateway.commands.demo.process import program
from gateway.web.viewer import bundle
from tests.support.data import REPOSITORY

# What is waited for comes in a second, or, on a machine that is busy, later.
expect.set_options(timeout=120_000)
# Fetched once for all runs.
VIEWER_FOLDER = REPOSITORY / ".work" / "viewer"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@dataclass
class Tab:
    """A page with a fresh profile.

    asked: the addresses that it asked for.
    troubles: errors of the page and of its console, and answers that were none.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, chromium: Browser) -> Tab:
        tab = cls(chromium.new_page(viewport={"width": 1400, "height": 900}))
        tab.page.set_default_timeout(120_000)
        tab.page.on("console", tab._heard)
        tab.page.on("pageerror", lambda error: tab.troubles.append(str(error)))
        tab.page.on("request", lambda request: tab.asked.append(request.url))
        tab.page.on("response", tab._answered)
        return tab

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status} {response.url}")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(program("chromium", "chromium")), args=list(ARGUMENTS)
        )
        try:
            yield chromium
        finally:
            chromium.close()


def ohif() -> Path:
    """The folder that `[viewer] folder` names, with OHIF in it; the test is skipped where no registry has it."""
    try:
        bundle.fetch(VIEWER_FOLDER, registry=os.environ.get("NPM_CONFIG_REGISTRY") or bundle.REGISTRY)
    except bundle.ViewerNotFetched as error:
        pytest.skip(f"no OHIF: {error}. {error.hint}")
    return VIEWER_FOLDER
