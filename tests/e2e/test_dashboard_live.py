"""The dashboard while a run trains: what comes in is shown without a reload, and keys are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from esper.contracts.base import LONGEST_NAME
from esper.contracts.platform_events import Alert
from esper.services.nissa.backfill import batches_of, read_log
from esper.services.nissa.ingest import Batch
from support import told_runs
from support.browser import watched_page
from support.dashboard_server import DashboardServer, dashboard_server
from support.run_deliveries import delivery, like, read


def cut(folder: Path, kinds: Sequence[str]) -> list[Batch]:
    """A run's log in parts; each part ends with the first line of a kind."""
    (whole,) = batches_of(folder, read_log(folder))
    lines = whole.records.lines
    parts: list[Batch] = []
    begin = 0
    for kind in [*kinds, None]:
        found = [i for i, line in enumerate(lines) if line.body.get("kind") == kind]
        end = len(lines) if kind is None else found[0] + 1
        parts.append(like(whole, lines=lines[begin:end]))
        begin = end
    return parts


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[DashboardServer]:
    with dashboard_server(tmp_path / "runs.db") as server:
        yield server


def test_a_run_is_followed_from_its_race_to_its_end_without_a_reload(
    browser: Browser, empty: DashboardServer, recorded_run: Path
) -> None:
    race, mark, graft, rest = cut(recorded_run, ["RaceStarted", "RungFinished", "GraftStarted"])
    empty.ask(lambda store: store.append([race]))
    with watched_page(browser, f"{empty.url}/runs/newest") as seen:
        page = seen.page
        page.evaluate("window.reloaded = false")
        expect(page.locator("#head")).to_contain_text("Race 1 is on")
        expect(page.locator("h1")).to_have_text("Nothing has grown so far.")
        expect(page.locator("#races")).to_contain_text("to come")
        empty.ask(lambda store: store.append([mark]))
        expect(page.locator("#head")).to_contain_text("leads with a held-out gain")
        empty.ask(lambda store: store.append([graft]))
        expect(page.locator("#head")).to_contain_text("is being blended into layer “0”")
        expect(page.locator("#network .state.is-grafting").first).to_be_visible()
        empty.ask(lambda store: store.append([rest]))
        expect(page.locator("h1")).to_contain_text("took over layer")
        expect(page.locator("#test-metric")).to_be_visible()
        assert page.evaluate("window.reloaded") is False
        assert not seen.troubles


def test_what_a_reader_opened_and_where_they_are_outlives_an_update(
    browser: Browser, empty: DashboardServer, recorded_run: Path
) -> None:
    first, rest = cut(recorded_run, ["RaceDecided"])
    empty.ask(lambda store: store.append([first]))
    with watched_page(browser, f"{empty.url}/runs/newest?slot=0%230") as seen:
        page = seen.page
        page.locator("#timeline > summary").click()
        page.locator('[data-slot="2#0"]').focus()
        expect(page.locator(".curves path[data-steps]")).to_be_visible()
        empty.ask(lambda store: store.append([rest]))
        expect(page.locator("#test-metric")).to_be_visible()
        expect(page.locator("#timeline")).to_have_attribute("open", "")
        expect(page.locator('[data-slot="2#0"]')).to_be_focused()
        expect(page.locator(".curves path[data-steps]")).to_be_visible()
        expect(page.locator("#slot")).to_contain_text("permanent")


def test_the_list_shows_a_run_that_begins(
    browser: Browser, empty: DashboardServer, recorded_run: Path
) -> None:
    with watched_page(browser, empty.url) as seen:
        expect(seen.page.locator("#runs")).to_contain_text("No run yet")
        empty.ask(lambda store: store.append(cut(recorded_run, ["RaceStarted"])[:1]))
        expect(seen.page.locator("#runs .name")).to_have_text("mnist1d mnist1d-mlp")


def test_an_alert_shows_on_every_page_and_goes_when_it_ends(
    browser: Browser, empty: DashboardServer
) -> None:
    alert = Alert(
        alert_id="one",
        rule="bus_lag",
        severity="critical",
        subject="events.race",
        message="the group nissa is 12,000 messages behind",
    )
    with watched_page(browser, f"{empty.url}/alerts") as seen:
        expect(seen.page.locator("h1")).to_have_text("Nothing needs a look")
        empty.ask(lambda store: store.save(alert))
        expect(seen.page.locator("#alerts")).to_contain_text("12,000 messages behind")
        expect(seen.page.locator("#nav .count")).to_contain_text("1")
        expect(seen.page.locator("#alerts a", has_text="what to do")).to_have_attribute(
            "href", "/runbook#bus_lag"
        )
        seen.page.get_by_role("button", name="I have seen it").click()
        expect(seen.page.locator("#alerts")).to_contain_text("Seen, and not over")
        expect(seen.page.locator("#alerts")).to_contain_text("seen by a reader of the dashboard")
        expect(seen.page.locator("#nav .count")).to_have_count(0)
        over = alert.model_copy(update={"ended_at": alert.raised_at})
        empty.ask(lambda store: store.save(over))
        expect(seen.page.locator("#alerts")).to_contain_text("Over")
        expect(seen.page.locator("#nav .count")).to_have_count(0)


def focused(page: Page) -> str | None:
    return page.evaluate("document.activeElement.dataset.slot ?? null")


def test_keys_alone_reach_a_layer_and_leave_it(
    browser: Browser, dashboard: DashboardServer
) -> None:
    with watched_page(browser, f"{dashboard.url}/runs/newest") as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(20):
            if focused(page) is not None:
                break
            page.keyboard.press("Tab")
        assert focused(page) == "0#0"
        page.keyboard.press("ArrowRight")
        assert focused(page) != "0#0"
        page.keyboard.press("ArrowLeft")
        assert focused(page) == "0#0"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Its life")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", name="Its life")).to_have_count(0)
        assert focused(page) == "0#0"


def test_two_runs_chosen_in_the_list_are_compared(
    browser: Browser, empty: DashboardServer, recorded_run: Path
) -> None:
    (one,) = batches_of(recorded_run, read_log(recorded_run))
    twin = like(one, run_id="another-run")
    empty.ask(lambda store: store.append([one, twin]))
    with watched_page(browser, empty.url) as seen:
        page = seen.page
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare the chosen runs").click()
        expect(page.locator("h1")).to_have_text("2 runs side by side")
        expect(page.locator(".curves path[data-steps]")).to_have_count(2)
        run = empty.ask(lambda store: store.run("another-run"))
        row = page.locator("#figures tr", has_text="Test accuracy").locator("data")
        values = row.evaluate_all("all => all.map(one => Number(one.value))")
        assert values == [run.test_metric, run.test_metric]
        assert not seen.troubles


def test_a_name_of_any_length_and_kind_is_wrapped_and_shown(
    browser: Browser, empty: DashboardServer
) -> None:
    long = "\x1b[31m" + "A" * (LONGEST_NAME - 40)
    layers = [{"name": long, "kind": long, "detail": long, "parameters": 1}]
    host = {"parameters": 1, "layers": layers, "slots": {long: 2}}
    start = told_runs.start(name=long, data=long, source=long, host=host)
    empty.ask(lambda store: store.append(read([delivery([start])])))
    for address in ("/", "/runs/newest", "/compare?run=newest"):
        with watched_page(browser, f"{empty.url}{address}", width=900) as seen:
            expect(seen.page.locator("main")).to_contain_text(r"\x1b[31mAAAA")
            assert seen.page.evaluate("document.documentElement.scrollWidth") == 900


def test_a_browser_holds_one_stream_however_many_pages_it_shows(
    browser: Browser, empty: DashboardServer
) -> None:
    context = browser.new_context()
    pages = [context.new_page() for _ in range(20)]
    for page in pages:
        page.goto(empty.url)
    alert = Alert(
        alert_id="one", rule="bus_lag", severity="warning", subject="x", message="far behind"
    )
    empty.ask(lambda store: store.save(alert))
    for page in pages:
        expect(page.locator("#nav .count")).to_contain_text("1")
    assert empty.streams.become(1)
    context.close()
    assert empty.streams.become(0)


def test_a_hidden_page_asks_for_nothing_and_catches_up_when_it_is_seen_again(
    browser: Browser, empty: DashboardServer, recorded_run: Path
) -> None:
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with watched_page(browser, empty.url) as seen:
        page = seen.page
        expect(page.locator("#pulse")).to_be_visible()
        page.evaluate(hide, True)
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url))
        with browser.new_context() as other:
            witness = other.new_page()
            witness.goto(empty.url)
            empty.ask(lambda store: store.append(cut(recorded_run, ["RaceStarted"])[:1]))
            expect(witness.locator("#runs .name")).to_be_visible()
            assert empty.streams.become(1)
        assert empty.streams.become(0)
        assert asked == []
        expect(page.locator("#runs .name")).to_have_count(0)
        page.evaluate(hide, False)
        expect(page.locator("#runs .name")).to_be_visible()
