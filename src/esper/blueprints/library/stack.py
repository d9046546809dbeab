"""Stack: convolution layers in a row over a flat input's own axes, pooled into a vector."""

from __future__ import annotations

from dataclasses import dataclass

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.fitting import (
    convolve,
    enter,
    first_stride,
    last,
    norm_relu,
    pooled,
    width,
)
from esper.contracts.enums import KernelMode


@dataclass(frozen=True)
class Layer:
    """One layer of a stack; its convolution is followed by batch norm and ReLU."""

    kind: str
    """"dense"; "separable": depthwise, then pointwise; "residual" and "separable-residual": the
    same with their input added; "excited": dense, then squeeze-and-excite; "pool": the maximum of
    windows of `kernel` places instead of a convolution, left out where no two places are left."""
    channels: int
    kernel: int
    stride: int = 1


@dataclass(frozen=True)
class Stack:
    """Layers, and how their result becomes a vector.

    Args:
        layers: In order. The first one's stride and window grow with the input's length.
        pooling: "mean-max", "mean" or "flatten".
        dropout: Probability before the last linear map.
    """

    layers: tuple[Layer, ...]
    pooling: str = "mean-max"
    dropout: float = 0.0


def dense(channels: int, kernel: int, stride: int = 1) -> Layer:
    """Return a plain convolution layer."""
    return Layer("dense", channels, kernel, stride)


def pool(window: int = 2) -> Layer:
    """Return a layer that keeps the maximum of each window."""
    return Layer("pool", 0, window, window)


def write_stack(g: GraphBuilder, geometry: Geometry, stack: Stack, mode: KernelMode) -> str:
    """Write a stack with its last linear map to the layer's outputs."""
    hidden = enter(g, geometry)
    step = first_stride(geometry)
    for place, layer in enumerate(stack.layers):
        coarse = Layer(layer.kind, layer.channels, 2 * step + 1, step)
        hidden = add_layer(g, hidden, coarse if place == 0 and step > 2 else layer)
    vector = pooled(g, hidden, stack.pooling)
    if stack.dropout:
        vector = g.add("dropout", vector, p=stack.dropout)
    returned = width(geometry.output_shape[-1])
    return g.add("linear", vector, out_features=returned, init=last(mode))


def add_layer(g: GraphBuilder, source: str, layer: Layer, *, causal: bool = False) -> str:
    """Add one layer: convolution, batch norm and ReLU, and what its kind adds."""
    hidden = source
    if layer.kind == "pool":
        return _pool(g, source, layer)
    if layer.kind.startswith("separable"):
        channels = g.size(source, 0)
        hidden = convolve(
            g,
            hidden,
            channels,
            layer.kernel,
            stride=layer.stride,
            groups=channels,
            bias=False,
            causal=causal,
        )
        hidden = convolve(g, hidden, layer.channels, 1, bias=False)
    else:
        hidden = convolve(
            g, hidden, layer.channels, layer.kernel, stride=layer.stride, bias=False, causal=causal
        )
    hidden = norm_relu(g, hidden)
    if layer.kind == "excited":
        return g.add("mul", hidden, gate(g, hidden))
    return g.add("add", source, hidden) if layer.kind.endswith("residual") else hidden


def _pool(g: GraphBuilder, source: str, layer: Layer) -> str:
    places = g.shape(source)[1:]
    if any(size is not None and size < layer.kernel for size in places):
        return source
    return g.add(f"max_pool{len(places)}d", source, kernel_size=layer.kernel, stride=layer.stride)


def gate(g: GraphBuilder, source: str, reduction: int = 4) -> str:
    """Add a squeeze-and-excite gate (Hu et al. 2018, eq. 2 to 4): one factor for each channel."""
    channels, axes = g.size(source, 0), len(g.shape(source)) - 1
    narrow = g.add(
        "linear", g.add("mean", source, axes=axes), out_features=max(4, channels // reduction)
    )
    wide = g.add("linear", g.add("relu", narrow), out_features=channels)
    return g.add("unflatten", g.add("sigmoid", wide), sizes=(channels, *(1,) * axes))
