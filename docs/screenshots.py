"""Takes the pictures of the dashboard that the guide shows: `python -m docs.screenshots`.

Trains the run of `make demo`, follows it in a real Chromium (Debian's package `chromium`), and
writes PNG files to `docs/images/`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
ESPER = [sys.executable, "-m", "esper.cli"]
WIDTH, HEIGHT = 1100, 800
WAIT_MS = 120_000


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Run the observer with the dashboard; gives its address."""
    command = [*ESPER, "nissa", "serve", "--port", "0"]
    environment = {**os.environ, "ESPER_HOME": str(home)}
    with subprocess.Popen(  # noqa: S603  # our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def training(home: Path, seed: int, *options: str) -> Iterator[None]:
    """Train while the caller looks on; wait for the end."""
    folder = home / f"run-{seed}{'-'.join(options)}"
    command = [*ESPER, "train", "--quick-start", "mnist1d", "--seed", str(seed)]
    environment = {**os.environ, "ESPER_HOME": str(home)}
    with subprocess.Popen(  # noqa: S603  # our own command
        [*command, "--output", str(folder), *options], stdout=subprocess.DEVNULL, env=environment
    ):
        yield


def take(page: Page, name: str, *, clip_to: str | None = None) -> None:
    """Write what the page shows, or from its top to the end of an element, as a picture."""
    page.wait_for_timeout(400)
    file = IMAGES / f"dashboard-{name}.png"
    if clip_to is None:
        page.screenshot(path=file)
    else:
        end = page.evaluate(
            "one => document.querySelector(one).getBoundingClientRect().bottom + scrollY", clip_to
        )
        area = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": end + 16}
        page.screenshot(path=file, full_page=True, clip=area)
    # A page has few colours: a palette keeps the pictures small.
    Image.open(file).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file)
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


def opened(browser: Browser, url: str, *, width: int = WIDTH, dark: bool = False) -> Page:
    """Open a page and wait until its charts are drawn."""
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_selector(".curves path[data-steps]", timeout=WAIT_MS)
    return page


def main() -> None:
    """Take them all."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        served(Path(folder)) as url,
    ):
        home = Path(folder)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with training(home, 1, "--no-growth"):
            pass
        with training(home, 1):
            live(browser, url)
        finished(browser, url)
        browser.close()


def live(browser: Browser, url: str) -> None:
    """Look at a run while its race is on."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(url)
    page.locator(".run", has_text="training").get_by_role("link").click(timeout=WAIT_MS)
    page.locator("#head", has_text="leads with").wait_for(timeout=WAIT_MS)
    page.locator('[data-slot="0#0"]').click()
    page.wait_for_selector("#slot .panel")
    take(page, "race", clip_to="#slot")


def finished(browser: Browser, url: str) -> None:
    """Look at the same run when it is over."""
    run = f"{url}/runs/newest"
    take(opened(browser, run), "run", clip_to=".curves")
    take(opened(browser, f"{run}?slot=0%230"), "slot", clip_to="#slot")
    take(opened(browser, run, dark=True), "dark", clip_to="#network")
    take(opened(browser, run, width=360), "phone")
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(url)
    for box in page.get_by_role("checkbox").all():
        box.check()
    take(page, "runs", clip_to="#choose")
    page.get_by_role("button", name="Compare the chosen runs").click()
    page.wait_for_selector(".curves path[data-steps]")
    take(page, "compare", clip_to="#figures")


if __name__ == "__main__":
    main()
