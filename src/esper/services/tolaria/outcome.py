"""The end of a run: growth closed, the test measured once, everything written."""

from __future__ import annotations

import io
from typing import Any

import torch

from esper.contracts.records import GrowthClosed
from esper.core.durable_file import write_durably
from esper.core.export import export
from esper.core.morphable_model import MorphableModel
from esper.services.tolaria.evaluation import evaluate
from esper.services.tolaria.outbox import fill
from esper.services.tolaria.result import RunResult, RunStatus
from esper.services.tolaria.run_folder import (
    CHECKPOINT,
    MODEL,
    REPORT,
    RESULT,
    RunFolder,
)
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session
from esper.utils.plain_file import read_record

_STATIC = "Growth was off: the host was trained as it is."
_INTERRUPTED = "The run was interrupted and can be resumed."


def close_growth(
    session: Session, progress: Progress, folder: RunFolder, run_id: str
) -> GrowthClosed | None:
    """Let growth come to its end, and write its report and the finished model.

    The report's curve is that of the log: each of its evaluations, wherever a race was on.

    Returns:
        The record of it; None where growth was off.

    Raises:
        CheckpointError: a file cannot be written.
    """
    closed = None
    if session.orchestrator is not None and isinstance(session.model, MorphableModel):
        report = session.orchestrator.finish()
        if progress.curve:
            report = report.model_copy(update={"curve": tuple(progress.curve)})
        write_durably(folder / REPORT, report.model_dump_json(indent=1).encode())
        kernels = fill(
            folder.path,
            session.model,
            report,
            run_id=run_id,
            deposit=session.config.library.deposit,
            tags={"task": session.bundle.name[:200]},
        )
        closed = GrowthClosed(step=report.steps, report=report, kernels=kernels)
    session.model.eval()
    buffer = io.BytesIO()  # torch's own file writer aborts the process when the disk is full
    torch.save(export(session.model), buffer)
    write_durably(folder / MODEL, buffer.getbuffer())
    return closed


def closing_result(session: Session, progress: Progress, folder: RunFolder) -> RunResult:
    """Measure the test split, and write ``result.json``.

    Raises:
        CheckpointError: the file cannot be written.
    """
    x, y, *_ = session.bundle.test.tensors
    figures = evaluate(session.model, (x, y), session.bundle.loss_fn, session.bundle.measure)
    result = result_of(
        session,
        progress,
        folder,
        RunStatus.STOPPED_EARLY if progress.stopped_early else RunStatus.FINISHED,
        test_metric=figures.metric,
        test_loss=figures.loss,
    )
    write_durably(folder / RESULT, result.model_dump_json(indent=1).encode())
    return result


def earlier_result(folder: RunFolder) -> RunResult | None:
    """The figures of a run that has ended already, or ``None``.

    Raises:
        RunFolderError: they are damaged.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    result = read_record(path, RunResult)
    return result.model_copy(update={"folder": folder.path, "checkpoint": folder / CHECKPOINT})


def result_of(
    session: Session, progress: Progress, folder: RunFolder, status: RunStatus, **figures: Any
) -> RunResult:
    """The figures of a run as it stands, and those that only its end has."""
    metric, orchestrator = session.bundle.measure, session.orchestrator
    report = None if orchestrator is None else orchestrator.report()
    summary = _STATIC if report is None else report.summary
    return RunResult(
        status=status,
        name=session.name,
        folder=folder.path,
        steps=progress.step,
        total_steps=session.plan.steps,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        percent=metric.percent,
        growth_metric=progress.curve[-1].growth_metric if progress.curve else None,
        parameters_before=session.parameters_before,
        parameters_after=sum(p.numel() for p in session.model.parameters()),
        grown=report is not None and any(layer.grown for layer in report.after),
        compute=None if report is None else report.cost.multiple,
        summary=_INTERRUPTED if status is RunStatus.INTERRUPTED else summary,
        seconds=round(progress.seconds, 3),
        checkpoint=folder / CHECKPOINT if (folder / CHECKPOINT).exists() else None,
        **figures,
    )
