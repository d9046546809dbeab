"""What all parts of one growth run share: the model, the means to judge it, the books."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel

from esper.contracts.events import SeedIsolated, VerdictReached
from esper.contracts.growth import GrowthDecision
from esper.contracts.lifecycle import SeedPhase
from esper.contracts.ports import TelemetrySink
from esper.core.morphable_model import MorphableModel
from esper.execution.kasmina_layer import KasminaLayer
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.compute_ledger import Ledger
from esper.orchestration.counterfactual import GrowthSplit, HeldOut, LossFn
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.journal import Journal
from esper.orchestration.performance import PerformanceTracker
from esper.orchestration.shadow import OwnRandomness


@dataclass(kw_only=True)
class Run:
    """One growth run. Held by the orchestrator, lent to its parts."""

    model: MorphableModel
    optimizer: torch.optim.Optimizer
    config: GrowthConfig
    loss_fn: LossFn
    total_steps: int
    seed: int
    device: torch.device
    split: GrowthSplit
    ledger: Ledger
    performance: PerformanceTracker = field(default_factory=PerformanceTracker)
    blueprints: BlueprintRegistry
    journal: Journal
    randomness: OwnRandomness
    """Source of whatever else draws from torch's global generators on Esper's behalf."""
    sinks: Sequence[TelemetrySink] = ()
    clock: Callable[[], float] = time.perf_counter
    """Seconds; read only where a latency is limited."""
    step: int = 0
    last_race: int | None = None
    """Step at which the last race ended, or was found impossible."""
    kernel_lr: float = 1e-3
    """Peak learning rate of kernels."""

    def span(self, share: float) -> int:
        """Steps of a share of the run, at least one."""
        return max(1, round(share * self.total_steps))

    def measure(self, limit: int | None = None) -> HeldOut:
        """The live model's held-out answers, paid for; of the first ``limit`` samples at least."""
        self.ledger.charge_evaluation(self.split.samples(limit))
        return self.split.measure(self.model.wrapped_model, limit=limit)

    def emit(self, event: BaseModel) -> None:
        """Tell everybody who listens."""
        for sink in self.sinks:
            sink.emit(event)

    def tell_isolations(self) -> None:
        """Tell of the seeds that the executors have isolated since the last step."""
        while self.model.isolations:
            layer_name, failure = self.model.isolations.popleft()
            self.emit(
                SeedIsolated(
                    step=self.step,
                    layer_name=layer_name,
                    seed_idx=failure.seed_index,
                    blueprint=self.layer(layer_name).seed(failure.seed_index).label,
                    failures=failure.strikes,
                    reason=failure.message,
                )
            )

    def decide(self, decision: GrowthDecision) -> None:
        """Write a decision down, and tell everybody."""
        self.journal.decisions.append(decision)
        self.emit(VerdictReached(step=decision.step, decision=decision))

    def base_flops(self) -> float:
        """Training FLOPs of the static model over the whole run; tiny models count as the floor."""
        per_step = self.ledger.samples / self.step if self.step else 1.0
        per_sample = max(self.ledger.static_step_flops, self.config.limits.compute_floor)
        return max(1.0, self.total_steps * per_step * per_sample)

    def remeasure(self) -> None:
        """Bring the cost of a step up to date after a change of the model's shape."""
        with self.randomness():
            self.ledger.remeasure(self.model.wrapped_model)

    def parameters(self) -> int:
        """Parameters of the model as it stands."""
        return sum(p.numel() for p in self.model.parameters())

    def layer(self, name: str) -> KasminaLayer:
        """A layer by its qualified name."""
        return self.model.kasmina_layers[name]

    def open_slots(self) -> dict[str, KasminaLayer]:
        """Layers that a kernel could go into, in the order in which the model names them."""
        return {
            name: layer
            for name, layer in self.model.kasmina_layers.items()
            if (geometry := layer.geometry) is not None
            and geometry.host_attributes.get("self_attention", True)
            and not layer.host_dropped
            and self.free_seed(layer) is not None
        }

    def live_seeds(self) -> int:
        """Seeds that hold a kernel which is not permanent (yet), isolated ones included."""
        return sum(
            seed.kernel is not None and seed.phase is not SeedPhase.FOSSILIZED
            for layer in self.model.kasmina_layers.values()
            for seed in layer.seeds()
        )

    def free_seed(self, layer: KasminaLayer) -> int | None:
        """The first slot that is dormant and not under embargo."""
        for seed in layer.seeds():
            if seed.phase is SeedPhase.DORMANT and seed.embargo_until <= self.step:
                return seed.index
        return None
