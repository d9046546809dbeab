"""Proposals: which blueprints may compete for which slots, within the limits.

Everything here is arithmetic on costs that are known before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from esper.blueprints.geometry import BEHIND, Geometry
from esper.blueprints.library.catalog import Candidate
from esper.contracts.enums import KernelMode
from esper.contracts.errors import GeometryError
from esper.contracts.growth import CandidateStanding
from esper.execution.artifact import KernelArtifact
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.proven import as_candidate
from esper.orchestration.strategies import AdaptationStrategy


@dataclass(frozen=True, kw_only=True)
class Stand:
    """What the model costs as it stands, and what the run has used."""

    parameters: int
    forward_flops: float
    """Per sample."""
    step_flops: float
    """Training, per sample."""
    static_step_flops: float
    """Training the ungrown model, per sample."""
    spent: float
    """Training compute so far, as a multiple of the static model's whole run."""
    remaining: float
    """Share of the run that is left, in [0, 1]."""


@dataclass(frozen=True)
class Proposal:
    """A blueprint for a slot, with what it would cost."""

    candidate: Candidate
    standing: CandidateStanding
    extra_parameters: int
    extra_flops: float
    """Forward, per sample."""
    kernel: KernelArtifact | None = None
    """The proven kernel that it is, weights and all; None for a fresh blueprint."""


def propose(
    slots: Mapping[str, Geometry],
    strategy: AdaptationStrategy,
    registry: BlueprintRegistry,
    stand: Stand,
    config: GrowthConfig,
    *,
    families: Collection[str] = (),
) -> list[Proposal]:
    """The entrants of a race: challengers in turn from every slot, and a control for each.

    Of a slot's challengers proven kernels come first; the strategy chooses among the others.

    Args:
        slots: open slots, those to try first in front.
        strategy: which blueprints may compete.
        registry: the blueprints, this run's experience with them, and proven kernels.
        stand: the model's costs now.
        config: limits, rents and the number of entrants.
        families: only these may challenge; all of them if empty.

    Returns:
        At most ``config.max_entrants`` proposals; empty when no challenger fits the limits.
    """
    controls = _controls(slots, registry, stand, config)
    queues = [
        _challengers(slot, slots[slot], strategy, registry, stand, config) for slot in controls
    ]
    if families:
        queues = [[p for p in queue if p.standing.family in families] for queue in queues]
    chosen: list[Proposal] = []
    for proposal in _in_turn(queues):
        present = {p.standing.layer_name for p in chosen} | {proposal.standing.layer_name}
        if len(chosen) + 1 + len(present) > config.max_entrants:
            break
        chosen.append(proposal)
    raced = dict.fromkeys(p.standing.layer_name for p in chosen)
    return [*chosen, *(controls[slot] for slot in raced)]


def _controls(
    slots: Mapping[str, Geometry],
    registry: BlueprintRegistry,
    stand: Stand,
    config: GrowthConfig,
) -> dict[str, Proposal]:
    """The control of each slot that has one, and that has something to learn.

    Behind a module that is the null: nothing is added, and the rest learns as for the others.
    """
    found = {}
    for slot, geometry in slots.items():
        try:
            control = registry.control(geometry)
        except GeometryError:  # nobody has said how to make a fresh copy of such a layer
            continue
        if control.cost.parameters or geometry.host == BEHIND:
            found[slot] = _proposal(slot, geometry, control, registry, stand, config)
    return found


def _in_turn(queues: Sequence[list[Proposal]]) -> Iterator[Proposal]:
    for place in range(max((len(q) for q in queues), default=0)):
        for queue in queues:
            if place < len(queue):
                yield queue[place]


def _challengers(
    slot: str,
    geometry: Geometry,
    strategy: AdaptationStrategy,
    registry: BlueprintRegistry,
    stand: Stand,
    config: GrowthConfig,
) -> list[Proposal]:
    offers = strategy.choose(slot, registry.offers(geometry, strategy.modes), registry)
    proven = [
        _proposal(slot, geometry, as_candidate(k, geometry), registry, stand, config, kernel=k)
        for k in registry.proven(geometry, strategy.modes)
    ]
    fresh = [_proposal(slot, geometry, c, registry, stand, config) for c in offers]
    proposals = [*proven, *fresh]
    return [p for p in proposals if p.standing.parameters and _fits(p, stand, config)]


def _proposal(
    slot: str,
    geometry: Geometry,
    candidate: Candidate,
    registry: BlueprintRegistry,
    stand: Stand,
    config: GrowthConfig,
    *,
    kernel: KernelArtifact | None = None,
) -> Proposal:
    parameters, flops = candidate.cost.parameters, float(candidate.cost.flops)
    if candidate.mode is KernelMode.REPLACING:
        host = registry.control(geometry).cost
        parameters, flops = parameters - host.parameters, flops - host.flops
    rent = _doublings(flops, max(stand.forward_flops, config.limits.compute_floor / 3))
    rent = rent * config.rent_flops + config.rent_parameters * _doublings(
        parameters, stand.parameters
    )
    standing = CandidateStanding(
        candidate=candidate.label if kernel is None else kernel.metadata.blueprint,
        layer_name=slot,
        family=candidate.family,
        size=candidate.size,
        mode=candidate.mode,
        parameters=candidate.cost.parameters,
        flops=candidate.cost.flops,
        rent=rent,
        kernel_id=None if kernel is None else kernel.kernel_id,
    )
    return Proposal(candidate, standing, parameters, flops, kernel)


def _doublings(extra: float, base: float) -> float:
    return math.log2(1.0 + max(0.0, extra) / max(base, 1.0))


def _fits(proposal: Proposal, stand: Stand, config: GrowthConfig) -> bool:
    limits = config.limits
    if (
        limits.max_parameters is not None
        and stand.parameters + proposal.extra_parameters > limits.max_parameters
    ):
        return False
    if (
        limits.max_flops is not None
        and stand.forward_flops + proposal.extra_flops > limits.max_flops
    ):
        return False
    if limits.max_compute is None:
        return True
    # A backward pass costs about two forward passes (one per gradient).
    step = stand.step_flops + 3.0 * proposal.extra_flops
    base = max(1.0, stand.static_step_flops, limits.compute_floor)
    window = min(stand.remaining, config.rungs * config.rung)
    used = (stand.spent + window) * stand.static_step_flops / base + config.scout_compute
    return used + (stand.remaining - window) * step / base <= limits.max_compute
