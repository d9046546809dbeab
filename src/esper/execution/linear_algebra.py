"""Kernels that are one affine map in disguise: found, and added to a linear layer's weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class AffineMap:
    """`y = weight x + bias`, in float64."""

    weight: Tensor
    """(out_features, in_features)."""
    bias: Tensor | None
    """(out_features,), or None for zero."""
    single: nn.Linear | None
    """The layer itself, if the map is just one."""

    @torch.no_grad()
    def add_to(self, layer: nn.Linear, alpha: float) -> None:
        """Add `alpha` times this map to a layer's weights, in place, rounding once."""
        layer.weight.copy_(layer.weight.double() + alpha * self.weight)
        if self.bias is not None:
            layer.bias.copy_(layer.bias.double() + alpha * self.bias)


def affine_map(kernel: nn.Module) -> AffineMap | None:
    """Return the affine map that `kernel` is, or None if it is not known to be one.

    Knows `nn.Linear`, `nn.Sequential` and `fx.GraphModule` chains of `nn.Linear` and `nn.Identity`.
    """
    chain = _chain(kernel)
    if not chain:
        return None
    with torch.no_grad():
        weight, bias = chain[0].weight.double(), _bias(chain[0])
        for layer in chain[1:]:
            step = layer.weight.double()
            carried = None if bias is None else step @ bias
            own = _bias(layer)
            weight = step @ weight
            bias = own if carried is None else carried if own is None else own + carried
    return AffineMap(weight, bias, chain[0] if len(chain) == 1 else None)


def _bias(layer: nn.Linear) -> Tensor | None:
    bias: Tensor | None = layer.bias
    return None if bias is None else bias.double()


def _chain(kernel: nn.Module) -> list[nn.Linear] | None:
    """Return the layers in order, or None if anything else is among them."""
    if type(kernel) is nn.Linear:
        return [kernel]
    if type(kernel) is nn.Identity:
        return []
    if type(kernel) is nn.Sequential:
        parts: list[nn.Module] | None = list(kernel)
    elif isinstance(kernel, fx.GraphModule):
        parts = _graph_chain(kernel)
    else:
        return None
    chain: list[nn.Linear] = []
    for part in [None] if parts is None else parts:
        found = None if part is None else _chain(part)
        if found is None:
            return None
        chain += found
    return chain


def _graph_chain(kernel: fx.GraphModule) -> list[nn.Module] | None:
    parts: list[nn.Module] = []
    previous: fx.Node | None = None
    for node in kernel.graph.nodes:
        if previous is None:
            if node.op != "placeholder":
                return None
        elif node.op == "output":
            return parts if node.args == (previous,) else None
        elif node.op == "call_module" and node.args == (previous,) and not node.kwargs:
            parts.append(kernel.get_submodule(str(node.target)))
        else:
            return None
        previous = node
    return None
