"""Operational records: what is measured while a model trains, and what is decided upon it."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from esper.contracts.base import (
    Contract,
    Count,
    Fraction,
    JsonObject,
    KernelId,
    Name,
    NonNegative,
    Several,
    SlotIndex,
    Step,
    Text,
    Whole,
)
from esper.contracts.enums import AdaptationAction, AdaptationOutcome, AdaptationStrategyName


class HealthSignal(Contract):
    """The condition of one layer, measured on one training step.

    A measurement that was not taken is None, never a value that looks healthy. One that came
    out as NaN or infinity is None too, and `finite` is then False.
    """

    layer_id: Count
    """Position of the layer among the model's Kasmina layers."""
    layer_name: Name = ""
    """Qualified name of the layer in the model."""
    seed_id: SlotIndex = 0
    """Index of the slot that the signal is about; 0 where it is about the whole layer."""
    step: Step | None = None
    """Training step of the measurement."""
    activation_variance: NonNegative | None = None
    """Variance of the layer's output over batch and positions, mean over its units."""
    dead_neuron_ratio: Fraction | None = None
    """Share of units whose output does not vary over the batch."""
    health_score: Fraction | None = None
    """Summary of the other fields: 0 is broken, 1 is faultless."""
    execution_latency: NonNegative | None = None
    """Time of one forward pass of the layer, in microseconds."""
    gradient_norm: NonNegative | None = None
    """Euclidean norm of the gradient of the layer's parameters."""
    gradient_snr: NonNegative | None = None
    """Signal-to-noise ratio of that gradient: |mean| / standard deviation, over its elements."""
    effective_rank: NonNegative | None = None
    """exp(entropy) of the normalised singular values of the output (Roy & Vetterli 2007)."""
    update_ratio: NonNegative | None = None
    """Norm of the last parameter update divided by the norm of the parameters."""
    finite: bool = True
    """False if a measurement came out as NaN or infinity."""

    @model_validator(mode="before")
    @classmethod
    def _keep_non_finite_apart(cls, data: Any) -> Any:
        # A diverging layer must still be reportable: JSON has no NaN, and comparing with one
        # is always False, which a threshold would read as healthy.
        if not isinstance(data, dict):
            return data
        broken = [k for k, v in data.items() if isinstance(v, float) and not math.isfinite(v)]
        return {**data, **dict.fromkeys(broken), "finite": False} if broken else data


class BudgetState(Contract):
    """What growth may still cost. None means: no limit."""

    parameters: Count
    """Trainable scalars of the model as it stands."""
    flops: Count
    """Floating-point operations of one sample's forward pass as it stands."""
    max_parameters: Count | None = None
    """Upper bound on `parameters` after growth."""
    max_flops: Count | None = None
    """Upper bound on `flops` after growth."""
    max_latency_us: NonNegative | None = None
    """Upper bound on one forward pass, in microseconds."""
    compute_left: NonNegative | None = None
    """Training computation that may still be spent on growth, as a multiple of the static
    host's whole training run."""


class GrowthObservation(Contract):
    """Everything that a controller sees when it is asked whether to grow."""

    step: Step
    """Present training step."""
    total_steps: Step
    """Planned training steps."""
    train_loss: float | None = None
    """Smoothed loss on training batches."""
    growth_loss: float | None = None
    """Loss on the growth split, which decisions may see and training does not."""
    growth_metric: float | None = None
    """The user's metric on the growth split."""
    growth_samples: Count = 0
    """Size of the growth split."""
    gap: float | None = None
    """`growth_loss - train_loss`."""
    improvement: float | None = None
    """Relative fall of the growth loss over the last window; below 0 it rose."""
    headroom: NonNegative | None = None
    """Growth loss as a share of the growth loss at the start; None where either is not finite."""
    plateau: bool | None = None
    """Whether the growth loss has stopped falling; None before there is enough history."""
    signals: Several[HealthSignal] = ()
    """The latest health signal of each layer."""
    open_slots: Several[Name] = ()
    """Qualified names of the layers that have a free slot and no embargo."""
    live_seeds: Count = 0
    """Seeds that hold a kernel which is not permanent (yet)."""
    races: Count = 0
    """Races held so far in this run."""
    fossilized: Count = 0
    """Kernels that became permanent so far in this run."""
    last_race_step: Step | None = None
    """Step at which the last race ended."""
    budget: BudgetState | None = None
    """What growth may still cost."""


class AdaptationDecision(Contract):
    """What a controller decided, and why."""

    step: Step
    """Training step of the decision."""
    action: AdaptationAction = AdaptationAction.GROW
    """What to do."""
    strategy: AdaptationStrategyName = AdaptationStrategyName.REPLACE
    """What it is meant to achieve."""
    layers: Several[Name] = ()
    """Qualified names of the layers concerned; empty means every open slot."""
    families: Several[Name] = ()
    """Kernel families to consider; empty means every family that fits."""
    window_steps: Count | None = None
    """Length of the race in training steps; None leaves it to the configuration."""
    confidence: Fraction = 1.0
    """How sure the controller is."""
    urgency: Fraction = 0.5
    """How soon it should happen; 1 is at once."""
    reason: Text
    """The sentence that a person would want."""
    parameters: JsonObject = Field(default_factory=dict)
    """Further values that a particular strategy needs."""


class FieldReport(Contract):
    """How one adaptation went, from its race to its end: what a policy learns from."""

    step: Step
    """Training step at which it ended."""
    layer_name: Name
    """Qualified name of the layer."""
    seed_idx: SlotIndex = 0
    """Slot within the layer."""
    blueprint: Name
    """Name of the blueprint."""
    kernel_id: KernelId | None = None
    """The kernel's file, if there is one."""
    outcome: AdaptationOutcome
    """How it ended."""
    gain: float | None = None
    """Counterfactual fall of the growth loss: alpha 0 minus alpha 1, temperature-scaled."""
    ci_low: float | None = None
    """Lower end of the gain's bootstrap confidence interval."""
    ci_high: float | None = None
    """Upper end of the gain's bootstrap confidence interval."""
    rent: NonNegative = 0.0
    """What the gain was charged for parameters and operations."""
    parameters_added: Whole = 0
    """Change of the model's trainable scalars; negative where a host was dropped."""
    flops_added: Whole = 0
    """Change of one sample's forward operations."""
    notes: Text = ""
    """Anything a person should know; free text."""
