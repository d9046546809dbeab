"""Figures: what a line of a run's log is to a logger, which knows names, numbers and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from esper.contracts.events import HealthMeasured, SeedFossilized, VerdictReached
from esper.contracts.growth import GrowthDecision
from esper.contracts.operational import HealthSignal
from esper.contracts.records import Evaluated, GrowthClosed, RunEnded, RunStarted, StepLogged

_CLOSING = {
    "test_loss": "test_loss",
    "test_metric": "test_metric",
    "compute": "compute",
    "parameters_after": "parameters",
    "seconds": "seconds",
}
"""Closing figure in a run's result -> name for loggers."""
_NO_MEASUREMENT = {"layer_id", "layer_name", "seed_id", "step", "finite"}


def figures(record: BaseModel) -> dict[str, float]:
    """Return the figures of a record or event by name; empty where it has none.

    The names are those of the run store's curves. A figure that was not finite is left out: most
    tools refuse it or draw it as 0.
    """
    found: Mapping[str, float | None] = {}
    match record:
        case RunStarted():
            found = {"parameters": record.host.parameters}
        case StepLogged():
            found = _of_step(record)
        case Evaluated():
            cost = None if record.cost is None else record.cost.multiple
            found = {
                "growth_loss": record.growth_loss,
                "growth_metric": record.growth_metric,
                "compute": cost,
            }
        case HealthMeasured():
            found = dict(pair for signal in record.signals for pair in _of_signal(signal))
        case VerdictReached():
            found = _of_decision(record.decision)
        case SeedFossilized():
            found = {"parameters": record.parameters}
        case GrowthClosed():
            report = record.report
            found = {"parameters": report.parameters_after, "compute": report.cost.multiple}
        case RunEnded():
            found = {name: _number(record.result.get(key)) for key, name in _CLOSING.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def hyperparameters(record: RunStarted) -> dict[str, Any]:
    """Return what a run was begun with, nested."""
    wanted = {"name", "data", "source", "metric", "total_steps", "batch_size", "learning_rate"}
    return record.model_dump(mode="json", include={*wanted, "split", "environment", "config"})


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Return nested settings as one level, keys joined by `/`; what is no scalar becomes text."""
    found: dict[str, bool | int | float | str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}/")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, int | float | str) else str(value)
    return found


def _of_step(record: StepLogged) -> dict[str, float | None]:
    alphas = {f"alpha/{slot}": alpha for slot, alpha in record.alpha.items()}
    return {
        "train_loss": record.train_loss,
        "lr": record.lr,
        "step_seconds": record.step_seconds,
        **alphas,
    }


def _of_signal(signal: HealthSignal) -> Iterator[tuple[str, float | None]]:
    layer = signal.layer_name or str(signal.layer_id)
    for name, value in signal.model_dump(exclude=_NO_MEASUREMENT).items():
        yield f"health/{layer}/{name}", value


def _of_decision(decision: GrowthDecision) -> dict[str, float | None]:
    candidate, evidence = decision.candidate, decision.evidence
    if candidate is None or evidence is None:
        return {}
    layer = candidate.layer_name
    return {
        f"gain/{layer}": evidence.gain,
        f"gain_low/{layer}": evidence.ci_low,
        f"gain_high/{layer}": evidence.ci_high,
    }


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None
