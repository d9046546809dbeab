"""The pages: what each address shows. One method for each, which asks the store and renders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from esper.contracts.errors import RunNotFoundError
from esper.contracts.runs import Curve, RunSummary
from esper.dashboard.dashboard_config import DashboardConfig
from esper.dashboard.reading import RunReader
from esper.dashboard.templating import Templates
from esper.dashboard.views.answers import answers
from esper.dashboard.views.chart import (
    FIGURES,
    HEALTH,
    comparison_chart,
    figure,
    run_chart,
    series_of,
    title,
)
from esper.dashboard.views.evidence import verdicts
from esper.dashboard.views.network import network
from esper.dashboard.views.races import races
from esper.dashboard.views.run_comparison import differing_settings, figures
from esper.dashboard.views.services import service_rows
from esper.dashboard.views.slot_view import slot_lives
from esper.dashboard.views.timeline import timeline
from esper.services.nissa.run_store import RunStore

COMPARED_AT_MOST: Final = 6
"""Runs that can be told apart in one chart."""
PARTS: Final = "X-Parts"
"""Header with the ids of the parts that are asked for; without it the page is whole."""
_ALERTS: Final = 200
_BUILDS: Final = 30
_KERNELS: Final = 100


class Pages:
    """Answers for every address of the dashboard.

    Args:
        store: Where the runs are.
        templates: Renders the pages.
        config: How much to show.
    """

    def __init__(self, store: RunStore, templates: Templates, config: DashboardConfig) -> None:
        self._store = store
        self._templates = templates
        self._config = config
        self._reader = RunReader(store)

    async def runs(self, request: Request) -> Response:
        """The list of runs, those that began last first."""
        text = request.query_params.get("text", "").strip()
        page = _page_number(request.query_params.get("page", ""))
        size = self._config.runs_on_a_page
        found = await self._store.runs(limit=size + 1, offset=size * (page - 1), text=text or None)
        shown = found[:size]
        values = {
            "runs": shown,
            "sparks": await self._sparks(shown),
            "text": text,
            "page": page,
            "more": len(found) > size,
            "compared_at_most": COMPARED_AT_MOST,
        }
        return await self._page(request, "runs.html.j2", "/", values)

    async def run(self, request: Request) -> Response:
        """One run."""
        picture = await self._reader.picture(request.path_params["run"])
        run_id = picture.summary.run_id
        lives = slot_lives(picture)
        slot = lives.get(request.query_params.get("slot", ""))
        shown = figure(request.query_params.get("figure"))
        values = {
            "picture": picture,
            "run": picture.summary,
            "score": picture.record.score,
            "answers": answers(picture, lives),
            "network": network(picture, lives),
            "lives": lives,
            "slot": slot,
            "verdicts": verdicts(picture.growth.decisions),
            "races": races(picture),
            "timeline": timeline(picture),
            "figures": [(one.key, title(one, picture.summary.metric)) for one in FIGURES],
            "shown": shown,
            "impacts": await self._store.impacts(run_id),
            "alerts": await self._store.alerts(run_id, open_only=True, limit=_ALERTS),
            "link": _linker(run_id, shown.key, None if slot is None else slot.key),
            "version_of_data": f"{picture.summary.step}-{len(picture.lines)}",
        }
        return await self._page(request, "run.html.j2", "/", values, run_id=run_id)

    async def compare(self, request: Request) -> Response:
        """Several runs side by side."""
        asked = request.query_params.getlist("run")[:COMPARED_AT_MOST]
        pictures = [await self._reader.picture(run) for run in dict.fromkeys(asked)]
        runs = [picture.summary for picture in pictures]
        shown = figure(request.query_params.get("figure"))
        metric = runs[0].metric if runs else "metric"
        values = {
            "runs": runs,
            "told": [answers(picture, slot_lives(picture)) for picture in pictures],
            "rows": figures(runs),
            "settings": differing_settings(pictures),
            "figures": [(one.key, title(one, metric)) for one in FIGURES],
            "shown": shown,
            "query": urlencode([("run", run.run_id) for run in runs]),
            "version_of_data": "-".join(str(run.step) for run in runs),
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
            "builds": await self._store.builds(limit=_BUILDS),
        }
        return await self._page(request, "platform.html.j2", "/platform", values)

    async def alerts(self, request: Request) -> Response:
        """What needs a look, and what did."""
        found = await self._store.alerts(limit=_ALERTS)
        values = {
            "open": [alert for alert in found if alert.ended_at is None],
            "over": [alert for alert in found if alert.ended_at is not None],
        }
        return await self._page(request, "alerts.html.j2", "/alerts", values)

    async def run_curves(self, request: Request) -> Response:
        """The data of a run's chart."""
        picture = await self._reader.picture(request.path_params["run"])
        shown = figure(request.query_params.get("figure"))
        curves = await self._curves(picture.summary.run_id, [name for name, *_ in shown.curves])
        return JSONResponse(run_chart(picture, shown, curves))

    async def health(self, request: Request) -> Response:
        """The data of a layer's health charts: those measurements that there are."""
        summary = await self._store.run(request.path_params["run"])
        layer = request.query_params.get("layer", "")
        curves = await self._curves(
            summary.run_id, [f"health/{layer}/{measure}" for measure, _ in HEALTH]
        )
        charts = [
            {"title": said, "series": [series_of(curve, said, "train")]}
            for (_, said), curve in zip(HEALTH, curves, strict=True)
            if any(value is not None for value in curve.values)
        ]
        return JSONResponse({"end": max(summary.total_steps, summary.step), "charts": charts})

    async def comparison_curves(self, request: Request) -> Response:
        """The data of the chart that compares runs."""
        asked = request.query_params.getlist("run")[:COMPARED_AT_MOST]
        runs = [await self._store.run(run) for run in dict.fromkeys(asked)]
        shown = figure(request.query_params.get("figure"))
        # The last is the one that judges: the held-out loss, not the training loss.
        name = shown.curves[-1][0]
        curves = [(await self._curves(run.run_id, [name]))[0] for run in runs]
        return JSONResponse(comparison_chart(shown, runs, curves))

    async def trouble(self, request: Request, error: Exception, status: int) -> Response:
        """Say what went wrong, on a page like the others."""
        html = self._templates.render(
            "trouble.html.j2",
            {"error": str(error), "status": status, "section": "", "live": "", "open_alerts": 0},
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
        live = "/live" if run_id is None else f"/live?run={run_id}"
        shared = {
            "section": section,
            "live": live,
            "open_alerts": len(alerts),
            "wants": _wanted(request.headers.get(PARTS)),
        }
        return HTMLResponse(self._templates.render(template, {**shared, **values}))

    async def _curves(self, run_id: str, names: Sequence[str]) -> list[Curve]:
        points = self._config.points
        asked = [self._store.curve(run_id, name, points=points) for name in names]
        return list(await asyncio.gather(*asked))

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


def _linker(run_id: str, shown: str, slot: str | None) -> Any:
    """Return what makes an address of this run's page, other parts of the view unchanged."""

    def link(**changed: str | None) -> str:
        query = {"figure": shown, "slot": slot, **changed}
        if query["figure"] == FIGURES[0].key:
            query["figure"] = None
        kept = urlencode({name: value for name, value in query.items() if value})
        return f"/runs/{run_id}" + (f"?{kept}" if kept else "")

    return link
