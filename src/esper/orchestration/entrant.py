"""Entrant: one candidate of a race, with everything that it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.library.catalog import CONTROL, Candidate
from esper.contracts.growth import CandidateStanding
from esper.contracts.site import Site
from esper.execution.artifact import KernelArtifact
from esper.orchestration.counterfactual import HeldOut
from esper.orchestration.shadow import Shadow


@dataclass
class Entrant:
    """One candidate in a race."""

    candidate: Candidate
    standing: CandidateStanding
    """Who it is, and since the last mark how it stands."""
    extra_flops: float
    """Forward FLOPs per sample that the model gains if the entrant takes over; may be negative."""
    kernel: nn.Module
    rest: dict[str, nn.Parameter]
    """Its private copy of the parameters behind the slot, by name in the model."""
    optimizer: torch.optim.Optimizer
    """The kernel, and in a group with `paced` the rest."""
    flops: float | None = None
    """Training FLOPs per sample in the shadow, measured at its first step."""
    held_out: HeldOut | None = None

    @property
    def slot(self) -> str:
        """Text of the site."""
        return self.standing.layer_name

    @property
    def rival(self) -> str:
        """What it has to beat, in words."""
        return Site.of(self.slot).control

    @property
    def running(self) -> bool:
        """Whether it is still in the race."""
        return self.standing.survived

    @property
    def is_control(self) -> bool:
        """Whether it is what the others have to beat: see `rival`."""
        return self.standing.family == CONTROL

    @property
    def learns(self) -> bool:
        """Whether it has anything to train: the null behind a model's last module has not."""
        return any(group["params"] for group in self.optimizer.param_groups)

    @property
    def net_gain(self) -> float:
        """What the race ranks by; minus infinity where the loss was not finite."""
        return -math.inf if self.standing.net_gain is None else self.standing.net_gain


def enter(
    candidate: Candidate,
    standing: CandidateStanding,
    extra_flops: float,
    shadow: Shadow,
    proven: KernelArtifact | None = None,
) -> Entrant:
    """Build a candidate's kernel, its private rest and their optimizer (AdamW).

    A proven kernel begins with its trained weights; any other draws them.
    """
    rest = shadow.rest(standing.layer_name)
    kernel: nn.Module = build(candidate.ir) if proven is None else proven.build()
    kernel = kernel.to(next(shadow.model.parameters()).device)
    groups = [
        {"params": list(kernel.parameters()), "paced": False},
        {"params": list(rest.values()), "paced": True},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]] or groups)
    return Entrant(candidate, standing, extra_flops, kernel, rest, optimizer)
