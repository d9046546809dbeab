"""The dashboard in a real Chromium, over a real run: what it shows is what the store holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from playwright.sync_api import Browser, Page, expect

from esper.contracts.events import RungFinished, VerdictReached
from esper.contracts.records import parse_record
from esper.contracts.runs import StoredLine
from esper.report import wording
from esper.services.nissa.run_store import RunStore
from support.browser import watched_page
from support.dashboard_server import DashboardServer

PAGES = (
    "/",
    "/runs/newest",
    "/runbook",
    "/runs/newest?slot=0%230&figure=loss",
    "/compare?run=newest",
)
OTHERS = (
    "/kernels",
    "/platform",
    "/alerts",
    "/runs/no-such-run",
    "/no-such-page",
    "/compare",
    "/?text=nothing",
)
PHONE = 360


def figures(page: Page, where: str) -> list[float]:
    """The exact values of the figures that a part of the page shows."""
    found = page.locator(f"{where} data").evaluate_all("all => all.map(one => one.value)")
    return [float(value) for value in found]


async def lines_of(store: RunStore) -> Sequence[StoredLine]:
    return await store.lines((await store.run("newest")).run_id, limit=10_000)


def test_the_figures_on_the_page_are_those_of_the_run_store(
    browser: Browser, dashboard: DashboardServer
) -> None:
    run = dashboard.ask(lambda store: store.run("newest"))
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        assert figures(seen.page, "#test-metric") == [run.test_metric]
        assert figures(seen.page, "#growth-metric")[-1] == run.growth_metric
        sizes = [float(run.parameters_before), float(run.parameters_after)]
        assert figures(seen.page, "#parameters") == sizes
        assert figures(seen.page, "#compute") == [run.compute]
        assert figures(seen.page, "#head") == [run.step]


def test_the_standings_and_the_evidence_are_those_of_the_log(
    browser: Browser, dashboard: DashboardServer
) -> None:
    events = [parse_record(line.body) for line in dashboard.ask(lines_of)]
    marks = [event for event in events if isinstance(event, RungFinished) and event.race == 0]
    decisions = [event.decision for event in events if isinstance(event, VerdictReached)]
    gains = {one.net_gain for mark in marks for one in mark.standings if one.net_gain is not None}
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        shown = set(figures(seen.page, "#race-1 .mark"))
        assert shown == gains
        measured = set(figures(seen.page, "#decisions"))
        for decision in decisions:
            if decision.evidence is not None:
                assert {decision.evidence.gain, decision.rent, float(decision.step)} <= measured


def test_the_impact_table_is_the_store_s(browser: Browser, dashboard: DashboardServer) -> None:
    run = dashboard.ask(lambda store: store.run("newest"))
    impacts = dashboard.ask(lambda store: store.impacts(run.run_id))
    expected = [
        figure
        for one in impacts
        for figure in (
            one.predicted,
            one.predicted_low,
            one.predicted_high,
            one.outcome,
            one.outcome_low,
            one.outcome_high,
        )
    ]
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        assert figures(seen.page, "#impacts") == expected
        assert expected


def test_the_head_of_the_page_answers_what_where_why_and_what_it_bought(
    browser: Browser, dashboard: DashboardServer
) -> None:
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        answers = seen.page.locator(".answers")
        for question in ("What grew", "Where", "Why", "What it bought"):
            expect(answers.get_by_text(question, exact=True)).to_be_visible()
        expect(answers).to_contain_text("conv1d")
        expect(answers).to_contain_text("layer “0”")
        expect(seen.page.get_by_role("heading", level=1)).to_contain_text("took over layer")


@pytest.mark.parametrize("address", [*PAGES, *OTHERS])
def test_no_page_has_errors_or_asks_another_machine(
    browser: Browser, dashboard: DashboardServer, address: str
) -> None:
    with watched_page(browser, f"{dashboard.url}{address}") as seen:
        seen.page.wait_for_timeout(700)
        # A page that is not there is said to be so by the console as well.
        troubles = [said for said in seen.troubles if "no-such" not in address]
        assert not troubles
        assert not seen.strangers
        expect(seen.page.get_by_role("heading", level=1)).to_be_visible()


def test_the_charts_are_drawn(browser: Browser, dashboard: DashboardServer) -> None:
    with watched_page(browser, f"{dashboard.url}/runs/newest?slot=0%230") as seen:
        expect(seen.page.locator(".curves path[data-steps]")).to_be_visible()
        expect(seen.page.locator("#health path[data-steps]").first).to_be_visible()


def test_the_pointer_reads_the_curve_and_a_drag_shows_a_stretch_of_it_alone(
    browser: Browser, dashboard: DashboardServer
) -> None:
    run = dashboard.ask(lambda store: store.run("newest"))
    curve = dashboard.ask(lambda store: store.curve(run.run_id, "growth_metric"))
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        chart = seen.page.locator(".curves > svg")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + box["width"] - 20, middle)
        tip = seen.page.locator(".tip")
        expect(tip).to_contain_text(f"at step {curve.steps[-1]:,}")
        expect(tip).to_contain_text(wording.percent(curve.values[-1] or 0.0))
        seen.page.mouse.move(box["x"] + 0.3 * box["width"], middle)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + 0.6 * box["width"], middle)
        seen.page.mouse.up()
        whole = seen.page.locator("[data-swap=span]")
        expect(whole).to_be_visible()
        first, last = map(int, re.findall(r"span=(\d+)-(\d+)", seen.page.url)[0])
        assert 0 < first < last < run.total_steps
        whole.click()
        expect(whole).to_have_count(0)
        assert not seen.troubles


def test_a_click_on_a_layer_shows_its_life(browser: Browser, dashboard: DashboardServer) -> None:
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        seen.page.locator('[data-slot="0#0"]').click()
        panel = seen.page.locator("#slot")
        expect(panel.get_by_role("heading", name="Its life")).to_be_visible()
        for state in ("empty", "racing", "installed", "blending in", "permanent"):
            expect(panel.locator(".life .state", has_text=state).first).to_be_visible()
        expect(panel.get_by_role("heading", name="Race 1 for this layer")).to_be_visible()
        expect(panel.locator(".forest").first).to_be_visible()
        expect(seen.page).to_have_url(f"{seen.page.url.split('?')[0]}?slot=0%230#slot")
        seen.page.go_back()
        expect(panel.get_by_role("heading", name="Its life")).to_have_count(0)
        assert not seen.troubles


@pytest.mark.parametrize("address", [*PAGES, *OTHERS])
def test_nothing_is_wider_than_a_phone(
    browser: Browser, dashboard: DashboardServer, address: str
) -> None:
    with watched_page(browser, f"{dashboard.url}{address}", width=PHONE, height=780) as seen:
        seen.page.wait_for_timeout(300)
        assert seen.page.evaluate("document.documentElement.scrollWidth") == PHONE


def test_light_and_dark_follow_the_reader_s_system(
    browser: Browser, dashboard: DashboardServer
) -> None:
    def darkness(dark: bool) -> int:
        with watched_page(browser, f"{dashboard.url}/runs/newest", dark=dark) as seen:
            paint = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
            return sum(seen.page.evaluate(paint))

    assert darkness(dark=True) < 150
    assert darkness(dark=False) > 600


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_background(
    browser: Browser, dashboard: DashboardServer, dark: bool
) -> None:
    address = f"{dashboard.url}/runs/newest?slot=0%230"
    with watched_page(browser, address, dark=dark) as seen:
        assert seen.page.evaluate(FAINT) == []


def test_the_page_can_be_read_without_scripts(browser: Browser, dashboard: DashboardServer) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{dashboard.url}/runs/newest?slot=0%230")
    expect(page.get_by_role("heading", level=1)).to_contain_text("took over layer")
    expect(page.get_by_role("heading", name="Its life")).to_be_visible()
    page.close()


# WCAG's contrast of every text against the nearest background that is painted: those below 4.5.
# Small marks and what is switched off need not be read.
FAINT = """
() => {
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const paint = rgba(getComputedStyle(at).backgroundColor);
      if (paint[3] > 250) return paint;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("i, .unseen, .waiting, canvas, script") || !element.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.add(`${node.data.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return [...faint];
}
"""
