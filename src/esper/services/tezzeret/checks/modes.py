"""Modes: training and evaluation differ only where the graph has a reason to."""

from __future__ import annotations

import torch

from esper.services.tezzeret.checks.subject import CheckFailedError, Subject


def modes(subject: Subject) -> str:
    """Without dropout or batch statistics both modes give the same bits."""
    kernel, x = subject.stirred(), subject.sample()
    with torch.no_grad():
        training, evaluation = kernel.train()(x), kernel.eval()(x)
    difference = float((training - evaluation).abs().max()) if training.numel() else 0.0
    if subject.draws or subject.mixes_samples:
        why = "dropout" if subject.draws else "batch statistics"
        return f"differ by up to {difference:.3g}: {why}"
    if not torch.equal(training, evaluation):
        raise CheckFailedError(
            f"training and evaluation differ by up to {difference:.3g}, and the graph has neither "
            "dropout nor batch statistics"
        )
    return "the same bits"
