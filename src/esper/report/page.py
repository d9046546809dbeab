"""The page: one HTML file with everything in it, readable in light, in dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from pydantic import ValidationError

from esper.contracts.events import parse_event
from esper.contracts.growth import GrowthDecision, RaceRecord
from esper.report import findings, story, wording
from esper.report.canvas import Drawing
from esper.report.narrate import narrate
from esper.report.palette import DARK, LIGHT, css_variables
from esper.report.run_folder import RunRecord
from esper.report.standings import label, paths, score

TEMPLATES = files("esper.report") / "templates"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the large figures on top of the page."""

    label: str
    value: str
    note: str = ""
    accent: bool = False


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The drawings of a page; None where the record has nothing to show."""

    curves: Drawing
    architecture: Drawing | None
    races: Sequence[Drawing]
    evidence: Drawing | None
    cost: Drawing | None

    def all(self) -> list[Drawing]:
        """Every drawing that exists, in the order of the page."""
        some = [self.architecture, self.curves, *self.races, self.evidence, self.cost]
        return [drawing for drawing in some if drawing is not None]


def render(run: RunRecord, pictures: Pictures) -> str:
    """Write the page.

    Args:
        run: the run as read from its folder.
        pictures: what to show of it.

    Returns:
        A complete HTML document that needs no other file and runs no script.
    """
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["svg"] = lambda drawing: Markup(drawing.svg())  # noqa: S704 our own markup
    environment.globals.update(w=wording, style=Markup(_style()))  # noqa: S704 our own file
    page = environment.get_template("report.html.j2")
    return page.render(
        run=run,
        story=story.tell(run),
        tiles=tiles(run),
        pictures=pictures,
        decisions=[_decision_row(d) for d in run.growth.decisions],
        races=[_race_table(race) for race in run.growth.races],
        timeline=_timeline(run),
        facts=_facts(run),
    )


def tiles(run: RunRecord) -> list[Tile]:
    """The figures that answer the first questions: how good, how large, how dear."""
    report, metric = run.growth, run.metric
    grafts = findings.grafts(report)
    kept = [graft for graft in grafts if graft.stayed]
    before, after = story.growth_metrics(run, kept)
    found: list[Tile] = []
    test = run.result.get("test_metric")
    if test is not None:
        size = run.splits.get("test")
        note = "measured once, at the end" + (f", {wording.count(size)} samples" if size else "")
        value = run.score(float(test))
        found.append(Tile(label=f"Test {metric}", value=value, note=note, accent=True))
    if before is not None and after is not None:
        end = run.score(after)
        span = f"{run.score(before)} → {end}" if kept else end
        when = "before the first graft → at the end" if kept else "at the end"
        found.append(Tile(label=f"Growth-split {metric}", value=span, note=when))
    sizes = (wording.compact(report.parameters_before), wording.compact(report.parameters_after))
    same = report.parameters_before == report.parameters_after
    size_text = sizes[0] if same else " → ".join(sizes)
    note = "unchanged" if same else "before → after"
    found.append(Tile(label="Parameters", value=size_text, note=note))
    if report.cost.static:
        note = "of the static host's, search included"
        value = wording.multiple(report.cost.multiple)
        found.append(Tile(label="Training compute", value=value, note=note))
    return found


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _style() -> str:
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return style.replace("/*light*/", css_variables(LIGHT)).replace("/*dark*/", css_variables(DARK))


def _decision_row(decision: GrowthDecision) -> dict[str, Any]:
    evidence, control = decision.evidence, decision.against_control
    kind = "in" if decision.verdict in (findings.GRAFT, findings.FOSSILISE) else "out"
    candidate = decision.candidate
    return {
        "step": wording.count(decision.step),
        "verdict": findings.outcome(decision),
        "kind": "undone" if decision.verdict in findings.UNDOING else kind,
        "what": story.kernel_phrase(candidate) if candidate is not None else "no race",
        "gain": wording.signed_percent(evidence.gain) if evidence else "",
        "interval": story.interval(evidence) if evidence else "",
        "control": wording.signed_percent(control.gain) if control else "—",
        "rent": wording.percent(decision.rent),
        "reason": decision.reason,
    }


def _race_table(race: RaceRecord) -> dict[str, Any]:
    rows = []
    for way in paths(race, None):
        scores = {place.mark: score(place.standing) for place in way.places}
        candidate = way.candidate
        rows.append(
            {
                "name": label(candidate),
                "mode": candidate.mode.value,
                "parameters": wording.compact(candidate.parameters),
                "scores": [scores.get(mark, "") for mark in range(len(race.rungs))],
                "loss": "—" if candidate.loss is None else wording.loss(candidate.loss),
                "control": findings.is_control(candidate),
            }
        )
    return {
        "number": race.index + 1,
        "span": f"step {wording.count(race.start)} to {wording.count(race.end)}",
        "flops": wording.compact(race.flops),
        "entrants": len(race.entrants),
        "marks": [wording.count(rung.step) for rung in race.rungs],
        "rows": rows,
    }


def _timeline(run: RunRecord) -> list[dict[str, str]]:
    lines = []
    for record in run.events:
        fields = {name: value for name, value in record.items() if name != "type"}
        try:
            event = parse_event(fields)
        except ValidationError:
            kind = record.get("kind", "event without a kind")
            lines.append(
                {
                    "step": wording.count(int(record.get("step", 0))),
                    "text": f"{kind} (written by another version of Esper)",
                }
            )
            continue
        text = narrate(event)
        if text is not None:
            lines.append({"step": wording.count(event.step), "text": text})
    return lines


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    splits, environment = run.splits, run.start.get("environment") or {}
    cost, seconds = run.growth.cost, run.result.get("seconds")
    flops = (
        f"model {wording.compact(cost.host)}, shadow {wording.compact(cost.shadow)}, "
        f"evaluation {wording.compact(cost.evaluation)}; static host {wording.compact(cost.static)}"
    )
    rows = [
        ("Data", str(run.start.get("data") or "")),
        ("Source", str(run.start.get("source") or "")),
        ("Splits", ", ".join(f"{name} {wording.count(size)}" for name, size in splits.items())),
        ("Steps", f"{wording.count(run.growth.steps)} of {wording.count(run.growth.total_steps)}"),
        ("Seed", "" if run.seed is None else str(run.seed)),
        ("Time", wording.duration(float(seconds)) if seconds is not None else ""),
        ("Training FLOPs", flops),
        ("Environment", ", ".join(f"{name} {value}" for name, value in environment.items())),
    ]
    return [(name, value) for name, value in rows if value]
