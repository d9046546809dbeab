"""The report of a run: the records as they are, and the sentence that a person would want."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from esper.blueprints.graph_weights import describe
from esper.contracts.enums import Verdict
from esper.contracts.growth import GrowthDecision, GrowthReport, LayerRecord
from esper.core.morphable_model import MorphableModel
from esper.execution.host_branch import STORES
from esper.execution.kasmina_host import plain_class
from esper.execution.kasmina_layer import KasminaLayer, layers_of
from esper.orchestration.run import Run


def growth_report(run: Run) -> GrowthReport:
    """Everything that is known about a run now."""
    report = GrowthReport(
        steps=run.step,
        total_steps=run.total_steps,
        curve=tuple(run.performance.curve),
        races=tuple(run.journal.races),
        decisions=tuple(run.journal.decisions),
        cost=run.ledger.account(),
        parameters_before=run.journal.parameters,
        parameters_after=run.parameters(),
        before=run.journal.layers,
        after=layer_records(run.model),
        summary=_summary(run),
    )
    loaded = [f"{layer.kind} in layer {layer.name}" for layer in report.put_in_from_outside]
    if not loaded:
        return report
    summary = f"{report.summary} Put in from outside: {', '.join(loaded)}."
    return report.model_copy(update={"summary": summary})


def layer_records(model: nn.Module) -> tuple[LayerRecord, ...]:
    """A model's layers that hold parameters, with kernels and the sites behind them in their places."""
    root = model.wrapped_model if isinstance(model, MorphableModel) else model
    return tuple(_records(root, "", set()))


def _records(module: nn.Module, name: str, seen: set[nn.Module]) -> Iterator[LayerRecord]:
    if module in seen:
        return
    seen.add(module)
    layers = layers_of(module)
    for layer in layers:
        if not layer.behind:
            yield from _grown(layer)
    own = sum(p.numel() for p in module.parameters(recurse=False))
    if own:
        yield _plain(name, module, own)
    for key, child in module.named_children():
        if key not in STORES:
            yield from _records(child, f"{name}.{key}" if name else key, seen)
    for layer in layers:
        if layer.behind:
            place = LayerRecord(name=layer.name, kind="place", detail="", parameters=0)
            yield from _grown(layer) or [place]


def _plain(name: str, module: nn.Module, parameters: int) -> LayerRecord:
    kind = plain_class(module).__name__
    return LayerRecord(name=name, kind=kind, detail=module.extra_repr(), parameters=parameters)


def _grown(layer: KasminaLayer) -> list[LayerRecord]:
    return [
        LayerRecord(
            name=layer.name,
            kind=seed.label,
            detail="" if seed.ir is None else describe(seed.ir),
            parameters=sum(p.numel() for p in seed.kernel.parameters()),
            grown=True,
        )
        for seed in layer.live_seeds()
        if seed.kernel is not None
    ]


def _summary(run: Run) -> str:
    kept = [d for d in run.journal.decisions if d.verdict is Verdict.FOSSILISE]
    if not kept:
        return _nothing_grew(run)
    sentences = [_kept(run, d) for d in kept]
    cost = run.ledger.account()
    sentences.append(
        f"The model went from {run.journal.parameters:,} to {run.parameters():,} parameters; the "
        f"run took {cost.multiple:.2f} times the training compute of the model as it was."
    )
    return " ".join(sentences)


def _kept(run: Run, decision: GrowthDecision) -> str:
    assert decision.candidate is not None
    assert decision.evidence is not None
    graft = next(
        d
        for d in reversed(run.journal.decisions)
        if d.verdict is Verdict.GRAFT and d.step <= decision.step
    )
    evidence = decision.evidence
    verb = "took over" if decision.candidate.mode.value == "replacing" else "joined"
    return (
        f"A {decision.candidate.title} kernel {verb} layer {decision.candidate.layer_name} "
        f"at step {graft.step:,}, because {graft.reason}; "
        f"at step {decision.step:,} the held-out gain is {evidence.gain:+.1%} "
        f"(between {evidence.ci_low:+.1%} and {evidence.ci_high:+.1%})."
    )


def _nothing_grew(run: Run) -> str:
    decisions = run.journal.decisions
    if not decisions:
        return (
            "Nothing was grown: the model never lacked capacity by the measures in use "
            "(no plateau or gap while a worthwhile loss was left), so no race was held."
            if run.split.size >= run.config.min_evidence
            else f"Nothing was grown: {run.split.size} held-out samples are too few to prove a "
            f"gain (least {run.config.min_evidence}), so no race was held."
        )
    return f"Nothing was grown. {decisions[-1].reason[0].upper()}{decisions[-1].reason[1:]}."
