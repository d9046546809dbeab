"""The page about a run: what its templates are given, in the dashboard too, and the report's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from esper.contracts.runs import Curve
from esper.contracts.site import Site
from esper.contracts.version import VERSION
from esper.report import chart, drawing, findings, story, wording
from esper.report.drawing import themes
from esper.report.gain_axis import gain_axis
from esper.report.narrate import timeline
from esper.report.network import layer_text, network
from esper.report.races import races
from esper.report.run_account import RunAccount
from esper.report.run_folder import RecordedRun, read_run
from esper.report.slot_lives import SlotLife, slot_lives
from esper.report.story import now

TEMPLATES: Final = files("esper.report") / "templates"


def environment(*packages: str) -> Environment:
    """Return the templates of the report and of other packages, whose own come first.

    Text from a run cannot become markup, and its control characters are shown, not obeyed.
    """
    loaders = [PackageLoader(package) for package in (*packages, "esper.report")]
    made = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    made.filters.update(value=value, layer_text=layer_text)
    made.globals.update(
        w=wording,
        place=wording.place,
        site=Site.of,
        interval=wording.interval,
        blueprint=findings.blueprint,
        outcomes=findings.OUTCOMES,
        kernel_phrase=findings.kernel_phrase,
        run_label=chart.run_label,
        glossary=wording.GLOSSARY,
        states=wording.STATES,
        version=VERSION,
    )
    return made


def run_values(run: RunAccount, lives: Mapping[str, SlotLife]) -> dict[str, Any]:
    """Return what the page's body is made from, whoever shows it."""
    return {
        "run": run,
        "story": story.tell(run),
        "now": now(run, lives),
        "network": network(run, lives),
        "decisions": run.growth.decisions,
        "axis": gain_axis(run.growth.decisions),
        "races": races(run),
        "timeline": timeline(run),
        "impacts": run.impacts,
    }


def render(recorded: RecordedRun) -> str:
    """Write the page of a run that is over as one file.

    Returns:
        A complete HTML document that needs no other file and runs no script.
    """
    run, curves = recorded.account, recorded.curves
    lives = slot_lives(run)
    charts = [chart.run_chart(run, one, curves) for one in chart.FIGURES]
    values = {
        **run_values(run, lives),
        "served": False,
        "wants": lambda _part: True,
        "alerts": (),
        "slot": None,
        "slots": [life for life in lives.values() if life.events],
        "link": _anchor(lives),
        "charts": [(one.title, drawing.draw(one)) for one in charts if one.series],
        "health": lambda layer: _health(layer, curves, run.step),
        "style": stylesheet(),
    }
    return environment().get_template("report.html.j2").render(values)


def stylesheet() -> str:
    """Return the style of all pages, colours included."""
    return Markup(themes() + (TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 our own file


def value(number: float | None, text: str) -> Markup:
    """A figure as people read it, which carries the exact value with it."""
    if number is None:
        return Markup('<span class="missing">—</span>')
    return Markup('<data value="{0}">{1}</data>').format(repr(number), text)


def _shown(value: object) -> object:
    return wording.visible(value) if type(value) is str else value


def _anchor(lives: Mapping[str, SlotLife]) -> Any:
    def link(*, slot: str | None = None, **_: str | None) -> str:
        return "#network-title" if slot is None else f"#{lives[slot].anchor}"

    return link


def _health(layer: str, curves: Mapping[str, Curve], end: int) -> Sequence[tuple[str, Markup]]:
    found = chart.health_charts(layer, curves, end)
    return [(title, drawing.draw(one)) for title, one in found]


PAGE_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written, and the account that it tells."""

    page: Path
    pictures: tuple[Path, ...]
    run: RunAccount


def write_report(folder: Path) -> WrittenReport:
    """Write the report of the run in `folder`; an older report there is replaced.

    Args:
        folder: the `--output` folder of a training run.

    Raises:
        RunFolderError: the folder is not that of a run, or its record cannot be read.
    """
    recorded = read_run(folder)
    pictures = []
    for figure in chart.FIGURES[:2]:
        shown = chart.run_chart(recorded.account, figure, recorded.curves)
        if shown.series:
            path = folder / f"curve-{figure.key}.svg"
            _replace(path, drawing.standalone(drawing.draw(shown)))
            pictures.append(path)
    page = folder / PAGE_FILE
    _replace(page, render(recorded))
    return WrittenReport(page=page, pictures=tuple(pictures), run=recorded.account)


def _replace(path: Path, text: str) -> None:
    """Put a whole file in place at once: a reader sees the old report or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
