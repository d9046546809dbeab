"""A real Chromium for the tests of pages, and a page that notices what goes wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

REQUIRED = "ESPER_REQUIRE_BROWSER"
"""Set to 1, it turns a missing browser from a skip into a failure."""
SECONDS = 120
"""How long a page may take to become what a test expects: the machine may be busy."""
NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Watched:
    """What a page did that it should not have done."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    """Errors and warnings of its console, and requests that failed."""
    strangers: list[str] = field(default_factory=list)
    """Addresses outside of the server that it asked for."""


# For a module at most: while it is open, Playwright's event loop runs in the tests' own thread, where
# tests of other modules want to start theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or whatever Chromium is there."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        missing = "no Chromium on this machine: as root, apt-get install chromium"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # In a container there is often no user namespace for the sandbox, nor room in /dev/shm.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=program, args=options)
        expect.set_options(timeout=1000 * SECONDS)
        yield chromium
        chromium.close()


@contextmanager
def watched_page(
    browser: Browser, url: str, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Watched]:
    """Open a page and keep account of what goes wrong in it."""
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    watched = Watched(page)
    home = urlsplit(url).netloc
    page.on("console", lambda said: _note_console(watched, said.type, said.text))
    page.on("pageerror", lambda error: watched.troubles.append(str(error)))
    page.on("request", lambda asked: _note_stranger(watched, home, asked.url))
    try:
        page.goto(url)
        yield watched
    finally:
        page.close()


def _note_console(watched: Watched, kind: str, text: str) -> None:
    if kind in {"error", "warning"}:
        watched.troubles.append(f"{kind}: {text}")


def _note_stranger(watched: Watched, home: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != home:
        watched.strangers.append(url)
