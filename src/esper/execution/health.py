"""HealthProbe: measures the Kasmina layers of a model on the steps that it is armed for.

::

    probe.arm()  # before the forward pass
    loss = ...
    loss.backward()
    optimizer.step()
    signals = probe.read(optimizer)  # before zero_grad; disarms

Between `read` and the next `arm` nothing of it is in the model, so that it costs nothing. While
armed it changes no output, gradient or random state, and waits for no device; `read` fetches all
figures in one transfer. What could not be measured is None, never a value that looks healthy. A
compiled model runs no hooks: run the armed step eagerly, or only what needs none is measured.
"""

from __future__ import annotations

import math
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from esper.contracts.operational import HealthSignal
from esper.execution.health_measures import (
    ActivationSample,
    effective_rank,
    gradient_snr,
    health_score,
    singular_values,
    strided_sample,
    strided_views,
)
from esper.execution.kasmina_layer import KasminaLayer, kasmina_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.utils.hooks import RemovableHandle

_SNR_STEPS = 8
"""Sampled steps over which the signal-to-noise ratio is taken."""
_WEIGHTS = 4096
_GRADIENTS = 1024
_SPECTRUM = "spectrum"
"""The singular values among a layer's figures; what becomes `effective_rank` on the host."""


class _LayerProbe:
    """The measurements of one layer on one step."""

    def __init__(self, layer: KasminaLayer, clock: Callable[[], float]) -> None:
        self.layer = layer
        self.activations: ActivationSample | None = None
        self._clock = clock
        self._started: Any = None
        self._ended: Any = None
        named = dict(layer.host.named_parameters())
        views = strided_views(named.values(), _WEIGHTS)
        copies = torch.cat(views).float().split([len(v) for v in views]) if views else ()
        self._weights = dict(zip(named, copies, strict=True))

    def before(self, _module: nn.Module, _args: Any) -> None:
        if self._started is None:
            self._started = self._now()

    def after(self, _module: nn.Module, _args: Any, output: Any) -> None:
        # Of a layer that is called several times in a step, the first call is measured.
        if self._ended is not None:
            return
        self._ended = self._now()
        main = self.layer.kind.host_output(self.layer, output)
        if main.is_nested or not main.is_floating_point():
            return
        self.activations = ActivationSample.take(main.detach(), self.layer.kind.unit_axis)
        if main.requires_grad:
            main.register_hook(self.activations.note_gradient)

    def _now(self) -> Any:
        device = self.layer.state.device
        if device.type != "cuda":
            return self._clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return event

    def moved(self, parameters: dict[str, nn.Parameter]) -> Tensor | None:
        """Norm of the sampled weights' change over their norm; None if none was sampled."""
        names = [name for name in self._weights if name in parameters]
        if not names:
            return None
        before = torch.cat([self._weights[name] for name in names])
        after = strided_sample([parameters[name] for name in names], _WEIGHTS)
        norm = torch.linalg.vector_norm
        ratio: Tensor = norm(after - before) / norm(before).clamp_min(1e-12)
        return ratio

    def latency_us(self) -> float | None:
        """Microseconds of the measured call; None if there was none. Waits for a CUDA device."""
        if self._started is None or self._ended is None:
            return None
        if isinstance(self._started, float):
            return float(self._ended - self._started) * 1e6
        self._ended.synchronize()
        return float(self._started.elapsed_time(self._ended)) * 1e3


class HealthProbe:
    """Measures a model's Kasmina layers; see the module's docstring.

    Args:
        model: The model; layers are looked up at each `arm`, so that growth is followed.
        clock: Seconds, monotonic, for latencies on the CPU.
    """

    def __init__(self, model: nn.Module, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._model = model
        self._clock = clock
        self._handles: list[RemovableHandle] = []
        self._probes: list[tuple[int, _LayerProbe]] = []
        self._gradients: dict[str, deque[Tensor]] = {}

    @property
    def armed(self) -> bool:
        """Whether the next step will be measured."""
        return bool(self._handles)

    def arm(self) -> None:
        """Put hooks on all layers whose telemetry is enabled. Arming twice starts afresh."""
        self.disarm()
        for layer_id, layer in enumerate(kasmina_layers(self._model).values()):
            if layer.behind or not layer.telemetry_enabled:
                continue
            probe = _LayerProbe(layer, self._clock)
            self._probes.append((layer_id, probe))
            self._handles.append(layer.host.register_forward_pre_hook(probe.before))
            self._handles.append(layer.host.register_forward_hook(probe.after))

    def disarm(self) -> None:
        """Remove the hooks and forget what they measured."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._probes.clear()

    @torch.no_grad()
    def read(
        self, optimizer: torch.optim.Optimizer | None = None, *, step: int | None = None
    ) -> list[HealthSignal]:
        """Return one signal for each measured layer, and disarm.

        Args:
            optimizer: The one that has just stepped; its parameters' updates are measured. None
                leaves `update_ratio` None.
            step: Training step, noted in the signals.
        """
        trained = _parameters_of(optimizer)
        lazies = [self._figures(probe, trained) for _, probe in self._probes]
        figures = _fetch(lazies)
        signals = []
        for (layer_id, probe), values in zip(self._probes, figures, strict=True):
            signals.append(_signal(layer_id, probe, values, step))
        self.disarm()
        return signals

    def state_dict(self) -> dict[str, Tensor]:
        """The gradients of earlier measured steps, by layer: what the next ratio rests on."""
        return {name: torch.stack(list(history)) for name, history in self._gradients.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved history."""
        self._gradients = {n: deque(h.unbind(), maxlen=_SNR_STEPS) for n, h in state.items()}

    def _figures(self, probe: _LayerProbe, trained: set[int]) -> dict[str, Tensor]:
        named = dict(probe.layer.host.named_parameters())
        found: dict[str, Tensor] = {}
        if probe.activations is not None:
            found["activation_variance"] = probe.activations.variance
            found["dead_neuron_ratio"] = probe.activations.dead_ratio()
            found[_SPECTRUM] = singular_values(probe.activations.rows)
        gradients = [p.grad for p in named.values() if p.grad is not None]
        if gradients:
            norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
            found["gradient_norm"] = torch.linalg.vector_norm(norms)
            history = self._history(probe.layer.name, gradients)
            if len(history) > 1:
                found["gradient_snr"] = gradient_snr(torch.stack(list(history)))
        ratio = probe.moved({name: p for name, p in named.items() if id(p) in trained})
        if ratio is not None:
            found["update_ratio"] = ratio
        return found

    def _history(self, name: str, gradients: list[Tensor]) -> deque[Tensor]:
        sample = strided_sample(gradients, _GRADIENTS)
        history = self._gradients.setdefault(name, deque(maxlen=_SNR_STEPS))
        if history and history[0].shape != sample.shape:
            history.clear()  # the layer has grown or shrunk: old samples are of other parameters
        history.append(sample)
        return history


def _parameters_of(optimizer: torch.optim.Optimizer | None) -> set[int]:
    groups = [] if optimizer is None else optimizer.param_groups
    return {id(parameter) for group in groups for parameter in group["params"]}


def _fetch(lazies: list[dict[str, Tensor]]) -> list[dict[str, list[float]]]:
    """Bring all figures to the host at once."""
    flat = [value.reshape(-1) for found in lazies for value in found.values()]
    if not flat:
        return [{} for _ in lazies]
    device = next((v.device for v in flat if v.device.type != "cpu"), flat[0].device)
    near = [v if v.device == device else v.to(device, non_blocking=True) for v in flat]
    numbers = iter(torch.cat(near).tolist())
    return [{n: list(islice(numbers, v.numel())) for n, v in found.items()} for found in lazies]


def _signal(
    layer_id: int, probe: _LayerProbe, found: dict[str, list[float]], step: int | None
) -> HealthSignal:
    spectrum = found.pop(_SPECTRUM, None)
    values = {name: value for name, (value,) in found.items()}
    full_rank = None
    if spectrum is not None:
        full_rank = float(len(spectrum))
        known = math.isfinite(values["activation_variance"])
        values["effective_rank"] = effective_rank(spectrum) if known else math.nan
    latency = probe.latency_us()
    score = health_score(values, full_rank=full_rank)
    for seed in probe.layer.live_seeds():
        if score is not None:
            probe.layer.state.record_health(seed.index, score)
        if latency is not None:
            probe.layer.state.record_latency(seed.index, latency)
    fields = {
        "layer_id": layer_id,
        "layer_name": probe.layer.name,
        "step": step,
        "health_score": score,
        "execution_latency": latency,
    }
    return HealthSignal.model_validate(fields | values)
