"""The host branch of a layer: dropping its parameters, and standing in for them afterwards."""

# dropping parameters by name is surgery on nn.Module

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

STORES = ("esper_kernels", "esper_behind")
"""Names of the submodules that hold kernels: those in the layer, and those behind it."""

PLACEHOLDERS = "_esper_placeholders"
"""Attribute that names the placeholders of a module whose parameters were dropped."""


def drop_parameters(layer: nn.Module) -> None:
    """Remove all parameters and buffers of `layer` but those of kernels.

    Each name keeps a placeholder, a plain tensor of the old shape, dtype and device that is one NaN
    in memory: a parent that reads `layer.weight.dtype` or `.device` goes on working, one that
    computes with the weight gets NaN instead of a plausible number.
    """
    for module in host_modules(layer):
        names: list[str] = []
        for store in (module._parameters, module._buffers):
            for name, tensor in list(store.items()):
                if tensor is None:
                    continue
                del store[name]
                object.__setattr__(module, name, _placeholder(tensor))
                names.append(name)
        if names:
            object.__setattr__(module, PLACEHOLDERS, tuple(names))


def placeholders_follow(layer: nn.Module, fn: Callable[[Tensor], Tensor]) -> None:
    """Apply `fn`, as given to `nn.Module._apply`, to the placeholders of a dropped host."""
    for module in host_modules(layer):
        for name in module.__dict__.get(PLACEHOLDERS, ()):
            old = module.__dict__[name]
            moved = fn(torch.empty(0, dtype=old.dtype, device=old.device))
            if moved.device.type != "meta":
                object.__setattr__(module, name, _placeholder(old, moved))


def reference_tensor(layer: nn.Module) -> Tensor | None:
    """Return a floating tensor in the device and dtype of the host, dropped or not, if any."""
    for module in host_modules(layer):
        dropped = [module.__dict__[name] for name in module.__dict__.get(PLACEHOLDERS, ())]
        stores: list[Tensor | None] = [
            *module._parameters.values(),
            *module._buffers.values(),
            *dropped,
        ]
        for tensor in stores:
            if tensor is not None and tensor.is_floating_point():
                return tensor
    return None


def host_modules(layer: nn.Module) -> Iterator[nn.Module]:
    """Yield the layer and the modules below it that are its own, not kernels."""
    yield layer
    for name, child in layer.named_children():
        if name not in STORES:
            yield from child.modules()


def _placeholder(old: Tensor, like: Tensor | None = None) -> Tensor:
    like = old if like is None else like
    fill = torch.nan if like.is_floating_point() else 0
    return torch.full((), fill, dtype=like.dtype, device=like.device).expand(old.shape)
