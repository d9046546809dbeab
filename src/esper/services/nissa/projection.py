"""Projection: what is read out of a line when it is taken in. Pure, and never refuses a line.

A log may be of another version of Esper: a field that is missing or of another shape gives
nothing, and the line is kept as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from esper.contracts.base import as_name
from esper.contracts.enums import RunState
from esper.contracts.events import AnyEvent
from esper.contracts.records import AnyRecord, RunEnded, RunFailed, RunInterrupted, parse_record

_STEP_FIGURES: Final = ("train_loss", "lr", "step_seconds")
_EVAL_FIGURES: Final = ("growth_loss", "growth_metric")
_HEALTH_FIGURES: Final = (
    "activation_variance",
    "dead_neuron_ratio",
    "health_score",
    "execution_latency",
    "gradient_norm",
    "gradient_snr",
    "effective_rank",
    "update_ratio",
)
_HIGHEST: Final = 2**63
_KERNEL_ID: Final = re.compile(r'"([0-9a-f]{64})"')
_STATES: Final = {
    "start": RunState.RUNNING,
    "resume": RunState.RUNNING,
    "interrupted": RunState.INTERRUPTED,
    "failed": RunState.FAILED,
}

Body = Mapping[str, object]
"""A line."""

ENDS: Final = (RunEnded, RunInterrupted, RunFailed)
"""What a run's last line may be."""


def record_of(body: Body) -> AnyRecord | AnyEvent | None:
    """Return what a line says; None where it is of another version of Esper."""
    try:
        return parse_record(dict(body))
    except ValidationError:
        return None


def step_of(body: Body) -> int:
    """Return the line's training step; 0 where it has none."""
    step = body.get("step")
    return step if isinstance(step, int) and 0 <= step < _HIGHEST else 0


def state_of(body: Body) -> RunState | None:
    """Return the state that a run is in with this line; None where the line tells of none."""
    if body.get("type") != "end":
        return _STATES.get(str(body.get("type")))
    status = mapping(body.get("result")).get("status")
    return RunState.STOPPED_EARLY if status == "stopped early" else RunState.FINISHED


def name_of(body: Body) -> str | None:
    """Return the run's name, which is in its first line."""
    name = body.get("name")
    return as_name(name) if body.get("type") == "start" and isinstance(name, str) else None


def figures_of(body: Body) -> Iterator[tuple[str, float | None]]:
    """Yield the points of curves that the line holds: names as `Curve.name` has them."""
    if body.get("type") == "step":
        yield from _figures(body, _STEP_FIGURES, "")
    elif body.get("type") == "eval":
        yield from _figures(body, _EVAL_FIGURES, "")
    elif body.get("kind") == "HealthMeasured":
        yield from _health(body).items()


def _health(body: Body) -> dict[str, float]:
    """What was measured of each layer; of several signals about one, the first counts."""
    found: dict[str, float] = {}
    signals = body.get("signals")
    for signal in map(mapping, signals if isinstance(signals, list) else ()):
        layer = signal.get("layer_name") or signal.get("layer_id") or 0
        for name, value in _figures(signal, _HEALTH_FIGURES, f"health/{layer}/"):
            # A measurement that was not taken is no point of the curve.
            if value is not None:
                found.setdefault(name, value)
    return found


def kernels_of(body: Body, text: str) -> frozenset[str]:
    """Return the kernels that the line mentions; `text` is the line's JSON."""
    # A tuple, because a list, which may stand there, cannot be looked for in a set.
    told = body.get("type") in ("event", "library", "growth")
    if not told or body.get("kind") == "HealthMeasured":
        return frozenset()
    return frozenset(_KERNEL_ID.findall(text))


def mapping(value: object) -> Body:
    """Return an object of a line; empty where it is none."""
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """Return a finite number of a line; None where it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _figures(body: Body, names: tuple[str, ...], prefix: str) -> Iterator[tuple[str, float | None]]:
    for name in names:
        if name in body:
            yield prefix + name, number(body[name])
