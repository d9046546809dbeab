"""The pages: what each address shows. One method for each, which asks the store and renders."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from esper.contracts.errors import AlertNotFoundError, EsperError, RunNotFoundError
from esper.contracts.runs import Curve, RunSummary
from esper.dashboard.reading import RunReader
from esper.dashboard.run_comparison import differing_settings, figures
from esper.dashboard.runbook import RUNBOOK
from esper.dashboard.service_rows import ROLES, service_rows
from esper.dashboard.templating import Templates
from esper.report import chart, drawing
from esper.report.page import run_values
from esper.report.slot_lives import slot_lives
from esper.services.nissa.run_store import RunStore

COMPARED_AT_MOST: Final = 6
"""Runs that can be told apart in one chart."""
PARTS: Final = "X-Parts"
"""Header with the ids of the parts that are asked for; without it the page is whole."""
READER: Final = "a reader of the dashboard"
"""Who has seen an alert that was acknowledged on a page."""
RUNS_ON_A_PAGE: Final = 25
_POINTS: Final = 1500
"""Most points that are drawn of one curve: about two for each pixel of its width."""
_ALERTS: Final = 200
_BUILDS: Final = 30
_KERNELS: Final = 100


class Pages:
    """Answers for every address of the dashboard.

    Args:
        store: Where the runs are.
        templates: Renders the pages.
    """

    def __init__(self, store: RunStore, templates: Templates) -> None:
        self._store = store
        self._templates = templates
        self._reader = RunReader(store)

    async def runs(self, request: Request) -> Response:
        """The list of runs, those that began last first."""
        text = request.query_params.get("text", "").strip()
        page = _page_number(request.query_params.get("page", ""))
        found = await self._store.runs(
            limit=RUNS_ON_A_PAGE + 1, offset=RUNS_ON_A_PAGE * (page - 1), text=text or None
        )
        shown = found[:RUNS_ON_A_PAGE]
        values = {
            "runs": shown,
            "sparks": await self._sparks(shown),
            "text": text,
            "page": page,
            "more": len(found) > RUNS_ON_A_PAGE,
            "compared_at_most": COMPARED_AT_MOST,
        }
        return await self._page(request, "runs.html.j2", "/", values)

    async def run(self, request: Request) -> Response:
        """One run."""
        summary, run = await self._reader.read(request.path_params["run"])
        wanted, query = _wanted(request.headers.get(PARTS)), request.query_params
        lives = slot_lives(run)
        slot = lives.get(query.get("slot", ""))
        shown, span = chart.figure(query.get("figure")), _span(query.get("span", ""))
        values = {
            **run_values(run, lives),
            "summary": summary,
            "slot": slot,
            "figures": [(one.key, one.title_for(run.metric)) for one in chart.FIGURES],
            "shown": shown,
            "span": span,
            "charts": [],
            "alerts": await self._store.alerts(summary.run_id, open_only=True, limit=_ALERTS),
            "link": _linker(summary.run_id, query),
            "version_of_data": f"{run.step}-{len(run.lines)}",
        }
        if wanted("chart-head"):
            names = [name for name, *_ in shown.curves]
            curves = await self._curves(summary.run_id, names, span)
            drawn = drawing.draw(chart.run_chart(run, shown, curves, span))
            values["charts"] = [(shown.title_for(run.metric), drawn)]
        return await self._page(request, "run.html.j2", "/", values, run_id=summary.run_id)

    async def compare(self, request: Request) -> Response:
        """Several runs side by side."""
        asked = request.query_params.getlist("run")[:COMPARED_AT_MOST]
        found = [await self._reader.read(run) for run in dict.fromkeys(asked)]
        runs, accounts = [summary for summary, _ in found], [account for _, account in found]
        shown = chart.figure(request.query_params.get("figure"))
        metric = runs[0].metric if runs else "metric"
        # The last is the one that judges: the held-out loss, not the training loss.
        name = shown.curves[-1][0]
        curves = [(await self._curves(run.run_id, [name]))[name] for run in runs]
        values = {
            "runs": runs,
            "told": [account.kept for account in accounts],
            "rows": figures(runs),
            "settings": differing_settings(accounts),
            "figures": [(one.key, one.title_for(metric)) for one in chart.FIGURES],
            "shown": shown,
            "query": urlencode([("run", run.run_id) for run in runs]),
            "drawing": drawing.draw(chart.comparison_chart(shown, runs, curves)),
        }
        return await self._page(request, "compare.html.j2", "/", values)

    async def kernels(self, request: Request) -> Response:
        """The kernels that runs have grown or tried lately."""
        runs = await self._store.runs(limit=_KERNELS)
        found = [(run, impact) for run in runs for impact in await self._store.impacts(run.run_id)]
        return await self._page(request, "kernels.html.j2", "/kernels", {"found": found})

    async def kernel(self, request: Request) -> Response:
        """One kernel's way through the runs."""
        kernel_id = request.path_params["kernel"]
        entries = await self._store.kernel_history(kernel_id)
        if not entries:
            raise RunNotFoundError(f"no run in the store had a kernel {kernel_id!r}")
        values = {"kernel_id": kernel_id, "entries": entries}
        return await self._page(request, "kernel.html.j2", "/kernels", values)

    async def platform(self, request: Request) -> Response:
        """The services, the bus and the forge."""
        values = {
            "services": service_rows(await self._store.components()),
            "roles": ROLES,
            "builds": await self._store.builds(limit=_BUILDS),
        }
        return await self._page(request, "platform.html.j2", "/platform", values)

    async def alerts(self, request: Request) -> Response:
        """What needs a look, and what did."""
        found = await self._store.alerts(limit=_ALERTS)
        lasting = [alert for alert in found if alert.ended_at is None]
        values = {
            "open": [alert for alert in lasting if alert.acknowledged is None],
            "seen": [alert for alert in lasting if alert.acknowledged is not None],
            "over": [alert for alert in found if alert.ended_at is not None],
        }
        return await self._page(request, "alerts.html.j2", "/alerts", values)

    async def acknowledge(self, request: Request) -> Response:
        """Note that a reader has seen an alert, and show the alerts again."""
        await self._store.acknowledge(request.path_params["alert"], by=READER)
        return RedirectResponse("/alerts", 303)

    async def runbook(self, request: Request) -> Response:
        """What each alert means, and what to do."""
        return await self._page(request, "runbook.html.j2", "/alerts", {"sections": RUNBOOK})

    async def health(self, request: Request) -> Response:
        """A layer's health charts: a piece of the run's page, which asks for it when it is open."""
        summary = await self._store.run(request.path_params["run"])
        layer = request.query_params.get("layer", "")
        names = [f"health/{layer}/{measure}" for measure in chart.HEALTH]
        curves = await self._curves(summary.run_id, names)
        found = chart.health_charts(layer, curves, max(summary.total_steps, summary.step))
        drawings = [(title, drawing.draw(one)) for title, one in found]
        return HTMLResponse(self._templates.render("health.html.j2", {"drawings": drawings}))

    def trouble(self, error: EsperError) -> Response:
        """Say what went wrong, on a page like the others."""
        status = 404 if isinstance(error, RunNotFoundError | AlertNotFoundError) else 503
        html = self._templates.render(
            "trouble.html.j2",
            {"error": str(error), "status": status, "section": "", "live": False, "open_alerts": 0},
        )
        return HTMLResponse(html, status_code=status)

    async def _page(
        self,
        request: Request,
        template: str,
        section: str,
        values: Mapping[str, Any],
        *,
        run_id: str | None = None,
    ) -> Response:
        alerts = await self._store.alerts(open_only=True, limit=_ALERTS)
        shared = {
            "section": section,
            "live": True,
            "run_id": run_id,
            "open_alerts": sum(alert.acknowledged is None for alert in alerts),
            "wants": _wanted(request.headers.get(PARTS)),
        }
        return HTMLResponse(self._templates.render(template, {**shared, **values}))

    async def _curves(
        self, run_id: str, names: Sequence[str], span: tuple[int, int] | None = None
    ) -> dict[str, Curve]:
        since, until = span or (0, None)
        asked = [
            self._store.curve(run_id, name, points=_POINTS, since=since, until=until)
            for name in names
        ]
        return dict(zip(names, await asyncio.gather(*asked), strict=True))

    async def _sparks(self, runs: Sequence[RunSummary]) -> dict[str, str]:
        """Return the held-out metric of each run as the points of a small line."""
        asked = [self._store.curve(run.run_id, "growth_metric", points=60) for run in runs]
        curves = await asyncio.gather(*asked)
        return {run.run_id: _spark(run, curve) for run, curve in zip(runs, curves, strict=True)}


def _wanted(parts: str | None) -> Callable[[str], bool]:
    """Return what tells a template which of its parts to fill."""
    names = None if parts is None else frozenset(parts.split())
    return lambda name: names is None or name in names


def _page_number(text: str) -> int:
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _spark(run: RunSummary, curve: Curve) -> str:
    points = [(s, v) for s, v in zip(curve.steps, curve.values, strict=True) if v is not None]
    if len(points) < 2:
        return ""
    low, high = min(v for _, v in points), max(v for _, v in points)
    height = (high - low) or 1.0
    end = max(run.total_steps, run.step, 1)
    return " ".join(f"{100 * s / end:.1f},{22 - 20 * (v - low) / height:.1f}" for s, v in points)


def _span(text: str) -> tuple[int, int] | None:
    """Return the stretch of steps that an address asks for, `1000-2000`; None for the whole run."""
    found = re.fullmatch(r"([0-9]{1,15})-([0-9]{1,15})", text)
    first, last = map(int, found.groups()) if found else (0, 0)
    return (first, last) if first < last else None


def _linker(run_id: str, query: Mapping[str, str]) -> Callable[..., str]:
    """Return what makes an address of this run's page, other parts of the view unchanged."""
    shown = {name: query[name] for name in ("slot", "figure", "span") if query.get(name)}

    def link(**changed: str | None) -> str:
        kept = {name: value for name, value in {**shown, **changed}.items() if value}
        if kept.get("figure") == chart.FIGURES[0].key:
            del kept["figure"]
        return f"/runs/{run_id}" + (f"?{urlencode(kept)}" if kept else "")

    return link
