"""Control: a fresh copy of the host. A kernel that does not beat it owes its gain to fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import BEHIND, Geometry
from esper.blueprints.library.attend import attend
from esper.blueprints.library.family import Family, family, sizes
from esper.contracts.enums import KernelMode
from esper.contracts.errors import GeometryError
from esper.utils.registry import Registry

Writer = Callable[[GraphBuilder, Geometry], str]

CONTROLS: Registry[str, Writer] = Registry("control")
"""How to write a fresh copy of a host, by the host's name. A user's own host adds itself here."""


@family("control", "A fresh copy of the host layer")
class Control(Family):
    """Reinitialised host."""

    sizes = sizes(host=None)
    order = 99

    @override
    def fits(self, geometry: Geometry) -> bool:
        return geometry.host in CONTROLS

    @override
    def modes(self, geometry: Geometry) -> tuple[KernelMode, ...]:
        return (KernelMode.REPLACING,)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        return CONTROLS.lookup(geometry.host)(g, geometry)


@CONTROLS.register(BEHIND)
def _null(g: GraphBuilder, geometry: Geometry) -> str:
    """Change nothing: what comes behind the place learns as it does behind a challenger."""
    return "x"


@CONTROLS.register("linear")
def _linear(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = geometry.host_attributes
    return g.add(
        "linear",
        "x",
        out_features=attributes.get("out_features", geometry.output_shape[-1]),
        bias=attributes.get("bias", True),
    )


@CONTROLS.register("conv1d")
@CONTROLS.register("conv2d")
def _convolution(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = dict(geometry.host_attributes)
    attributes.pop("in_channels", None)
    kernel, dilation = attributes["kernel_size"], attributes["dilation"]
    source = "x"
    if isinstance(attributes["padding"], str):
        same = attributes["padding"] == "same"
        spans = [(k - 1) * d if same else 0 for k, d in zip(kernel, dilation, strict=True)]
        attributes["padding"] = tuple(span // 2 for span in spans)
        if any(span % 2 for span in spans):
            if attributes["padding_mode"] != "zeros":
                raise GeometryError(
                    f"A convolution with kernel_size {kernel}, padding 'same' and padding_mode "
                    f"{attributes['padding_mode']!r} has no control; give it an odd kernel_size."
                )
            # PyTorch puts the odd place at the end; F.pad counts from the last axis.
            widths = [width for span in reversed(spans) for width in (span // 2, span - span // 2)]
            source = g.add("pad", source, widths=tuple(widths))
            attributes["padding"] = (0,) * len(kernel)
    if geometry.host == "conv1d":
        for word in ("kernel_size", "stride", "padding", "dilation"):
            attributes[word] = attributes[word][0]
    return g.add(geometry.host, source, **attributes)


@CONTROLS.register("multihead_attention")
def _attention(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = geometry.host_attributes
    width, bias = attributes["embed_dim"], attributes["bias"]
    return attend(
        g, "x", width, heads=attributes["num_heads"], bias=bias, causal=geometry.causal, out=width
    )


@CONTROLS.register("layer_norm")
def _layer_norm(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = geometry.host_attributes
    affine = attributes["elementwise_affine"]
    return g.add(
        "layer_norm",
        "x",
        axes=len(attributes["normalized_shape"]),
        eps=attributes["eps"],
        affine=affine,
        bias=attributes["bias"] or not affine,
    )


@CONTROLS.register("rms_norm")
def _rms_norm(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = geometry.host_attributes
    axes = len(attributes["normalized_shape"])
    affine = attributes["elementwise_affine"]
    return g.add("rms_norm", "x", axes=axes, eps=attributes["eps"], affine=affine)


@CONTROLS.register("group_norm")
def _group_norm(g: GraphBuilder, geometry: Geometry) -> str:
    attributes = geometry.host_attributes
    return g.add(
        "group_norm",
        "x",
        groups=attributes["num_groups"],
        eps=attributes["eps"],
        affine=attributes["affine"],
    )


@CONTROLS.register("batch_norm1d")
@CONTROLS.register("batch_norm2d")
def _batch_norm(g: GraphBuilder, geometry: Geometry) -> str:
    words = ("eps", "momentum", "affine", "track_running_stats")
    settings = {word: geometry.host_attributes[word] for word in words}
    return g.add(geometry.host, "x", **settings)


@CONTROLS.register("embedding")
def _embedding(g: GraphBuilder, geometry: Geometry) -> str:
    words = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm")
    return g.add("embedding", "x", **{word: geometry.host_attributes[word] for word in words})


@CONTROLS.register("lstm")
@CONTROLS.register("gru")
def _recurrent(g: GraphBuilder, geometry: Geometry) -> str:
    words = ("hidden_size", "num_layers", "bias", "bidirectional", "dropout", "proj_size")
    found = geometry.host_attributes
    settings = {word: found[word] for word in words if word in found}
    if settings["num_layers"] == 1:
        settings["dropout"] = 0.0
    return g.add(geometry.host, "x", **settings)
