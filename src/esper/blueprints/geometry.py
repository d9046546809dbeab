"""Geometry: what a layer reads and returns, traced from one example batch.

A geometry decides which kernels fit a layer. `trace` finds it by running the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from esper.blueprints.example import Example
from esper.blueprints.geometry_tracing import Observation, observe
from esper.blueprints.host_types import HOST_TYPES
from esper.blueprints.provenance import as_channels, source_of
from esper.blueprints.tensor_spec import Shape
from esper.contracts.enums import Layout


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """What a layer reads and returns. Shapes are per sample and never hold the batch axis."""

    host: str
    """Name of the layer's type: "linear", "conv1d", …; see `host_types.py`."""
    layout: Layout
    """What the axes of the input mean."""
    input_shape: Shape
    """Shape read; None where the size varies (a sequence's length)."""
    output_shape: Shape
    """Shape returned, likewise."""
    source_shape: tuple[int, ...] | None = None
    """What a flat input was before it was flattened: (C, L) or (C, H, W)."""
    source_permutation: tuple[int, ...] | None = None
    """`flat == source.permute(source_permutation).flatten()`."""
    reads_input: bool | None = None
    """Whether the values are the model's own input, so that their order may mean something; False
    where an earlier layer computed them, None where that is not known."""
    batch_axis: int = 0
    """Which axis of the layer's input is the batch; 1 for sequence-first models."""
    causal: bool = False
    """Whether outputs must not depend on later positions."""
    vocabulary: int | None = None
    """Number of ids, for the layout IDS."""
    host_attributes: Mapping[str, Any] = field(default_factory=dict)
    """The host's constructor arguments: the control is built from these."""
    example_shape: tuple[int, ...] | None = None
    """Shape read in the example, every axis known; costs refer to it."""

    @property
    def cost_shape(self) -> tuple[int, ...]:
        """The shape at which kernels are priced: the example's, else open axes count as 1."""
        if self.example_shape is not None:
            return self.example_shape
        return tuple(size or 1 for size in self.input_shape)


def trace(
    model: nn.Module,
    example_input: Any,
    layers: Mapping[str, nn.Module],
    *,
    batch_axis: int | None = None,
) -> dict[str, Geometry]:
    """Return the geometry of each layer, found by running the model on an example.

    The model is run a few times in evaluation mode without gradients; its parameters, buffers,
    training flags and the random state are as before afterwards.

    Args:
        model: The model, on its device.
        example_input: What `forward` takes: a tensor, a tuple of arguments or a mapping of keyword
            arguments; on the model's device, with a batch axis. Two samples are enough.
        layers: Submodules to look at, by name.
        batch_axis: Which axis of the inputs is the batch; None finds it out.

    Returns:
        Geometries by name. A layer that was not called, or whose input does not grow with the
        batch, or whose type is unknown, is left out.

    Raises:
        GeometryError: The model fails on the example, or there is no tensor in it.
    """
    described = {
        name: layer
        for name, layer in layers.items()
        if any(kind in HOST_TYPES for kind in type(layer).__mro__)
    }
    seen = observe(model, Example.of(example_input), described, batch_axis)
    found = {name: _geometry(described[name], observation) for name, observation in seen.items()}
    return {name: geometry for name, geometry in found.items() if geometry is not None}


BEHIND = "behind"
"""Host of the geometries of places behind a module: there is none but what comes in."""


def trace_behind(
    model: nn.Module, example_input: Any, modules: Mapping[str, nn.Module]
) -> dict[str, Geometry]:
    """Return the geometry of the place behind each module, as `trace` does that of layers.

    Kernels there read what the module returns and return the same shape. What is left out: modules
    that were not called, or that return anything but one floating-point tensor with a batch axis.
    """
    seen = observe(model, Example.of(example_input), modules, None)
    found: dict[str, Geometry] = {}
    latest: Layout | None = None
    for name, observation in seen.items():  # in the order in which they came to an end
        latest = _line_of(modules[name], observation) or latest
        grid = Layout.TOKENS if isinstance(modules[name], _POINTWISE) else Layout.CHANNELS_2D
        layout = {1: Layout.FLAT, 2: latest, 3: grid}.get(len(observation.returned))
        if observation.returns_tensor and layout is not None:
            found[name] = Geometry(
                host=BEHIND,
                layout=layout,
                input_shape=observation.returned,
                output_shape=observation.returned,
                reads_input=False,
                batch_axis=observation.returned_batch_axis,
                causal=observation.causal,
                example_shape=observation.example_returned,
            )
    return found


_SLIDING = (
    *(nn.Conv1d, nn.BatchNorm1d, nn.GroupNorm, nn.MaxPool1d, nn.AvgPool1d, nn.InstanceNorm1d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.ConvTranspose1d),
)
_POINTWISE = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.MultiheadAttention, nn.RNNBase)


def _line_of(module: nn.Module, seen: Observation) -> Layout | None:
    """Return what two axes per sample mean from here on; None where the module does not say."""
    if len(seen.returned) != 2:
        return None
    if isinstance(module, _SLIDING):
        return Layout.CHANNELS_1D
    return Layout.TOKENS if isinstance(module, _POINTWISE) else None


def _geometry(layer: nn.Module, seen: Observation) -> Geometry | None:
    host_type = HOST_TYPES.lookup_type(type(layer))
    attributes = dict(host_type.attributes(layer))
    layout = _layout(host_type.host, layer, seen)
    if layout is None:
        return None
    if "self_attention" in attributes:
        attributes["self_attention"] = attributes["self_attention"] and seen.self_attention
    source = source_of(seen.origin) if layout is Layout.FLAT and seen.origin is not None else None
    source = as_channels(source) if source is not None else None
    return Geometry(
        host=host_type.host,
        layout=layout,
        input_shape=seen.read,
        output_shape=seen.returned,
        source_shape=source.shape if source else None,
        source_permutation=source.permutation if source else None,
        reads_input=seen.origin.is_input if seen.origin is not None else None,
        batch_axis=seen.batch_axis,
        causal=seen.causal,
        vocabulary=attributes.get("num_embeddings") if layout is Layout.IDS else None,
        host_attributes=attributes,
        example_shape=seen.example_read,
    )


CHANNELS = {1: Layout.FLAT, 2: Layout.CHANNELS_1D, 3: Layout.CHANNELS_2D}


def _layout(host: str, layer: nn.Module, seen: Observation) -> Layout | None:
    """Return what the axes mean, from the host's type and the number of axes per sample."""
    rank = len(seen.read)
    if seen.integers:
        return Layout.IDS
    if host in ("conv1d", "conv2d", "group_norm", "batch_norm1d", "batch_norm2d"):
        return CHANNELS.get(rank)
    if len(getattr(layer, "normalized_shape", (0,))) > 1:
        return CHANNELS.get(rank)
    if rank == 0:
        return None
    return Layout.FLAT if rank == 1 else Layout.TOKENS
