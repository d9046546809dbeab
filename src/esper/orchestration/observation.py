"""Observation: what a controller sees of a run, read off its books."""

from __future__ import annotations

from collections.abc import Sequence

from esper.contracts.operational import BudgetState, GrowthObservation, HealthSignal
from esper.orchestration.run import Run


def observation(run: Run, signals: Sequence[HealthSignal], *, fossilized: int) -> GrowthObservation:
    """Everything that a controller sees of a run now.

    Args:
        run: the run, all of its steps booked.
        signals: the latest of each layer.
        fossilized: kernels that became permanent so far.
    """
    config, limits = run.config, run.config.limits
    point, fall = run.performance.curve[-1], run.performance.fall()
    train, growth = point.train_loss, point.growth_loss
    spent = run.ledger.shadow / run.base_flops()
    return GrowthObservation(
        step=run.step,
        total_steps=run.total_steps,
        train_loss=train,
        growth_loss=growth,
        growth_metric=point.growth_metric,
        growth_samples=run.split.size,
        gap=None if train is None or growth is None else growth - train,
        improvement=fall,
        headroom=run.performance.headroom,
        plateau=None if fall is None else fall < config.plateau,
        signals=tuple(signals),
        open_slots=tuple(run.open_slots()),
        live_seeds=run.live_seeds(),
        races=len(run.journal.races),
        fossilized=fossilized,
        last_race_step=run.last_race,
        budget=BudgetState(
            parameters=run.parameters(),
            flops=round(run.ledger.forward_flops),
            max_parameters=limits.max_parameters,
            max_flops=None if limits.max_flops is None else round(limits.max_flops),
            compute_left=max(0.0, config.scout_compute - spent),
        ),
    )
