"""Fitting: the questions that families ask of a geometry, and the steps that lead in and out."""

from __future__ import annotations

import math
from typing import Any

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import BEHIND, Geometry
from esper.contracts.enums import KernelMode, Layout

NORMS = frozenset(("layer_norm", "rms_norm", "group_norm", "batch_norm1d", "batch_norm2d"))
"""Hosts that normalise."""
JOINED = NORMS | {BEHIND}
"""Places where a kernel only joins what is there."""
SHORTEST_SIGNAL = 16
"""A flat vector below this length is not taken for a signal."""
SMALLEST_IMAGE = 4
"""An image with a shorter side is not taken for one."""


def is_vectors(geometry: Geometry) -> bool:
    """Whether the layer maps the last axis and leaves all others."""
    if geometry.layout not in (Layout.FLAT, Layout.TOKENS):
        return False
    read, returned = geometry.input_shape, geometry.output_shape
    return len(read) == len(returned) and None not in (read[-1], returned[-1])


def is_sequence(geometry: Geometry) -> bool:
    """Whether the layer maps a sequence (S, F) to one of the same length."""
    return (
        geometry.layout is Layout.TOKENS and len(geometry.input_shape) == 2 and is_vectors(geometry)
    )


def is_signal(geometry: Geometry) -> bool:
    """Whether a flat input may be an ordered signal: (C, L) before, or the model's own input."""
    if geometry.layout is not Layout.FLAT or not is_vectors(geometry):
        return False
    if geometry.source_shape is not None:
        return len(geometry.source_shape) == 2 and geometry.source_shape[1] >= SHORTEST_SIGNAL // 2
    long_enough = (geometry.input_shape[0] or 0) >= SHORTEST_SIGNAL
    return geometry.reads_input is not False and long_enough


def is_image(geometry: Geometry) -> bool:
    """Whether a flat input was an image (C, H, W) before."""
    source = geometry.source_shape
    if geometry.layout is not Layout.FLAT or source is None or len(source) != 3:
        return False
    return min(source[1:]) >= SMALLEST_IMAGE and is_vectors(geometry)


def is_channels(geometry: Geometry) -> bool:
    """Whether the layer reads and returns (C, L) or (C, H, W), as a convolution or norm does."""
    if geometry.layout not in (Layout.CHANNELS_1D, Layout.CHANNELS_2D):
        return False
    same_rank = len(geometry.input_shape) == len(geometry.output_shape)
    convolution = "kernel_size" in geometry.host_attributes
    return same_rank and (convolution or geometry.input_shape == geometry.output_shape)


def axes_of(geometry: Geometry) -> int:
    """Return how many axes convolutions slide along: 2 for images, else 1."""
    image = geometry.layout is Layout.CHANNELS_2D or is_image(geometry)
    return 2 if image else 1


def width(size: int | None) -> int:
    """Return a size that `is_vectors` or `is_channels` found to be known."""
    assert size is not None
    return size


def last(mode: KernelMode) -> str:
    """Return the initialisation of a kernel's last layer: zero where it must be born silent."""
    return "zero" if mode is KernelMode.RESIDUAL else "default"


def enter(g: GraphBuilder, geometry: Geometry) -> str:
    """Return the input as channels first: (C, L) or (C, H, W).

    A flat input gets back the axes that it had; a sequence (S, F) becomes (F, S).
    """
    if geometry.layout is Layout.TOKENS:
        return g.add("permute", "x", order=(1, 0))
    if geometry.layout is not Layout.FLAT:
        return "x"
    source, order = geometry.source_shape, geometry.source_permutation
    if source is None:
        return g.add("unflatten", "x", sizes=(1, width(geometry.input_shape[0])))
    order = order or tuple(range(len(source)))
    split = g.add("unflatten", "x", sizes=tuple(source[axis] for axis in order))
    if order == tuple(range(len(source))):
        return split
    return g.add("permute", split, order=tuple(order.index(axis) for axis in range(len(source))))


def normalise(g: GraphBuilder, source: str, geometry: Geometry) -> str:
    """Normalise hidden vectors: over the batch where flat, each position by itself in a sequence."""
    return g.add("batch_norm1d" if geometry.layout is Layout.FLAT else "layer_norm", source)


def convolve(g: GraphBuilder, source: str, channels: int, kernel: int, **options: Any) -> str:
    """Add a convolution over (C, L) or (C, H, W) with the same settings along every axis.

    Args:
        g: The builder.
        source: What to read.
        channels: Output channels.
        kernel: Window size; with the default padding and stride 1 an odd one keeps the size.
        **options: `stride`, `groups`, `bias`, `init`, and `causal`, which pads on the left only.
    """
    axes = len(g.shape(source)) - 1
    causal = options.pop("causal", False)
    stride, padding = options.pop("stride", 1), 0 if causal else kernel // 2
    if causal and kernel > 1:
        source = g.add("pad", source, widths=(kernel - 1, 0))
    if axes == 1:
        spatial: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding}
    else:
        spatial = {
            "kernel_size": (kernel,) * axes,
            "stride": (stride,) * axes,
            "padding": (padding,) * axes,
        }
    return g.add(f"conv{axes}d", source, out_channels=channels, **spatial, **options)


def host_window(
    g: GraphBuilder, source: str, geometry: Geometry, channels: int, **options: Any
) -> str:
    """Add a convolution with the host's own window, so that every size comes out as the host's.

    A host without a window (a norm), or one that keeps the size, gets a window of 3.
    """
    attributes = geometry.host_attributes
    if "kernel_size" not in attributes or isinstance(attributes["padding"], str):
        if attributes.get("padding") != "valid":
            return convolve(g, source, channels, 3, causal=geometry.causal, **options)
        attributes = {**attributes, "padding": (0,) * len(attributes["kernel_size"])}
    words = ("kernel_size", "stride", "padding", "dilation")
    spatial = {word: attributes[word] for word in words}
    axes = len(spatial["kernel_size"])
    if axes == 1:
        spatial = {word: value[0] for word, value in spatial.items()}
    return g.add(f"conv{axes}d", source, out_channels=channels, **spatial, **options)


def norm_relu(g: GraphBuilder, source: str) -> str:
    """Add a batch norm of channels and a ReLU."""
    axes = len(g.shape(source)) - 1
    return g.add("relu", g.add(f"batch_norm{axes}d", source))


def pooled(g: GraphBuilder, source: str, how: str) -> str:
    """Return one vector of (C, L) or (C, H, W): "flatten", "mean", or "mean-max" side by side."""
    if how == "flatten":
        return g.add("flatten", source)
    axes = len(g.shape(source)) - 1
    mean = g.add("mean", source, axes=axes)
    return mean if how == "mean" else g.add("concat", mean, g.add("amax", source, axes=axes))


def first_stride(geometry: Geometry) -> int:
    """Return a first stride that brings long signals and large images down early."""
    if geometry.source_shape is not None:
        places = max(geometry.source_shape[1:])
    else:
        places = width(geometry.input_shape[0])
    coarse = 128 if axes_of(geometry) == 1 else 48
    return 2 if places < coarse else 2 ** min(4, 1 + math.ceil(math.log2(places / coarse + 0.01)))
