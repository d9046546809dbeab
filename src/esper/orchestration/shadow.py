"""The shadow: a copy of the host in which candidates learn without touching it.

A candidate stands in the place of one host layer, and the task loss teaches it. What comes before
the layer is frozen; what comes after it belongs to the candidate, as a private copy that learns
along: behind layers that stay fitted to the host, no newcomer catches up (`docs/lab/`). The copy is
brought up to date every few steps and at the marks of a race, at steps that are known in advance; the
host's own trajectory stays bit-identical.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import TrainingError
from esper.contracts.site import Site
from esper.execution.host_branch import STORES
from esper.execution.kasmina_layer import kasmina_layers
from esper.orchestration.counterfactual import call_model


class OwnRandomness:
    """A random state of its own for code that draws from torch's global generators.

    Args:
        seed: start of the private stream.
        device: the device whose generator the code may draw from, besides the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._accelerator = device if device.type == "cuda" else None
        with self._preserved():
            torch.manual_seed(seed)
            self._state = self._read()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run a block on the private stream; the global one continues as if it had not run."""
        with self._preserved():
            self._write(self._state)
            try:
                yield
            finally:
                self._state = self._read()

    @contextmanager
    def _preserved(self) -> Iterator[None]:
        before = self._read()
        try:
            yield
        finally:
            self._write(before)

    def _read(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._accelerator is not None:
            states.append(torch.cuda.get_rng_state(self._accelerator))
        return states

    def _write(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._accelerator is not None:
            torch.cuda.set_rng_state(states[1], self._accelerator)

    def state_dict(self) -> dict[str, Any]:
        """The stream's position."""
        return {"states": list(self._state)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved position."""
        self._state = list(state["states"])


def copy_module(model: nn.Module) -> nn.Module:
    """A deep copy without gradients.

    Raises:
        TrainingError: the model holds something that cannot be copied.
    """
    grads = [(p, p.grad) for p in model.parameters()]
    for p, _ in grads:
        p.grad = None
    try:
        return copy.deepcopy(model)
    except (TypeError, RuntimeError) as error:
        message = (
            f"{type(model).__name__} cannot be copied for the shadow ({error}): keep handles, "
            "locks and graph tensors outside the module, or give it a __deepcopy__"
        )
        raise TrainingError(message) from error
    finally:
        for p, grad in grads:
            p.grad = grad


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name: themselves, not copies."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


class Shadow:
    """A frozen copy of a wrapped model.

    The copy runs in evaluation mode (no dropout, running batch statistics), so that what a
    candidate learns from is deterministic; candidates themselves are in training mode.

    Args:
        model: the live model.
        x: a few samples of its input, to see in which order its layers run.
    """

    def __init__(self, model: nn.Module, x: Any) -> None:
        self.model = copy_module(model).eval().requires_grad_(requires_grad=False)
        for module in self.model.modules():
            if isinstance(module, nn.RNNBase):
                module.train()  # cuDNN has no backward pass for RNNs in evaluation mode
                module.dropout = 0.0
        self._layers = kasmina_layers(self.model)
        self._begins, self._ends = _running_order(self.model, x)

    def rest(self, slot: str) -> dict[str, nn.Parameter]:
        """Private copies of the parameters of everything that first runs after ``slot``."""
        site = Site.of(slot)
        place = (self._ends if site.behind else self._begins)[site.module]
        after = f"{site.module}.{STORES[True]}.".removeprefix(
            "."
        )  # kernels behind the slot's layer
        copies = {}
        for name, parameter in self.model.named_parameters():
            owner = name.rpartition(".")[0]
            is_inside = owner.startswith(f"{site.module}.") and not owner.startswith(after)
            if not is_inside and self._begins.get(owner, -1) > place:
                copies[name] = nn.Parameter(parameter.detach().clone())
        return copies

    def refresh(self, live: Mapping[str, Tensor]) -> None:
        """Take over the live model's parameters and buffers (see `tensors`)."""
        with torch.no_grad():
            for name, tensor in tensors(self.model).items():
                tensor.copy_(live[name])

    @contextmanager
    def standing_in(
        self,
        slot: str,
        kernel: nn.Module,
        mode: KernelMode,
        rest: Mapping[str, nn.Parameter],
    ) -> Iterator[nn.Module]:
        """The copy with ``kernel`` at full alpha in ``slot`` and ``rest`` behind it.

        Nothing can be replaced behind a module: what would is the null, beside which the kernels that
        stand there already stay.
        """
        layer = self._layers[slot]
        is_null = layer.behind and mode is KernelMode.REPLACING
        frozen = _exchange(self.model, rest)
        try:
            with nullcontext() if is_null else layer.substitute(kernel, mode, alpha=1.0):
                yield self.model
        finally:
            _exchange(self.model, frozen)


def _exchange(model: nn.Module, new: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Put parameters in by name; returns those that were there."""
    old = {}
    for name, parameter in new.items():
        owner, _, leaf = name.rpartition(".")
        parameters = model.get_submodule(owner)._parameters
        previous = parameters[leaf]
        assert previous is not None
        old[name] = previous
        parameters[leaf] = parameter
    return old


def _running_order(model: nn.Module, x: Any) -> tuple[dict[str, int], dict[str, int]]:
    """When each module first begins and ends to run, on one count; absent if it never does."""
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}

    def note(name: str, *_: Any, times: dict[str, int]) -> None:
        times.setdefault(name, len(begins) + len(ends))

    every = model.named_modules()
    modules = [(n, m) for n, m in every if not isinstance(m, torch.jit.ScriptModule)]
    hooks = [m.register_forward_pre_hook(partial(note, n, times=begins)) for n, m in modules]
    hooks += [m.register_forward_hook(partial(note, n, times=ends)) for n, m in modules]
    try:
        with torch.no_grad():
            call_model(model, x)
    finally:
        for hook in hooks:
            hook.remove()
    return begins, ends
