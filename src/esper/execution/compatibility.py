"""Compatibility: whether a kernel's manifest allows it to stand in a layer, before it is built.

Cheap, and says what is wrong in the manifest's own words. It refuses what cannot work; that the
rest does work, a probe finds out when the kernel is installed (`probing.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from esper.contracts.enums import Layout
from esper.contracts.errors import KernelMismatchError
from esper.contracts.version import VERSION
from esper.execution.artifact import KernelArtifact
from esper.execution.kasmina_layer import KasminaLayer

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry

Shape = tuple[int | None, ...]

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.|$)")


def check_compatible(artifact: KernelArtifact, layer: KasminaLayer, *, host: str = "") -> None:
    """Refuse a kernel that cannot stand in this layer.

    Args:
        artifact: The kernel.
        layer: Where it is to go.
        host: Host type that the kernel was made for, where its record says so; empty for any.

    Raises:
        KernelMismatchError: Version, device, dtype, host or shapes do not go together.
    """
    problem = (
        _version_problem(artifact.metadata.esper_version)
        or _device_problem(artifact, layer.state.device)
        or _geometry_problem(artifact, layer.geometry, host)
    )
    if problem:
        raise KernelMismatchError(
            f"kernel {artifact.kernel_id} ({artifact.metadata.blueprint:.80}) cannot stand in "
            f"layer '{layer.name}': {problem}"
        )


def _version_problem(version: str) -> str:
    found, own = _VERSION.match(version), _VERSION.match(VERSION)
    if found is None or own is None:
        return f"it was written by version {version!r:.40}, which is no version; build it anew"
    major, minor = (int(number) for number in found.groups())
    our_major, our_minor = (int(number) for number in own.groups())
    # Before 1.0 each minor version may mean something else by the same words.
    if major > our_major or (major == our_major == 0 and minor > our_minor):
        return f"it was written by version {version:.40}, this is {VERSION}; update Esper"
    return ""


def _device_problem(artifact: KernelArtifact, device: torch.device) -> str:
    if "meta" in {device.type, artifact.device.type}:
        return f"it is on {artifact.device}, the layer on {device}; meta tensors hold no values"
    if artifact.device.type != "cpu" and artifact.device != device:
        return f"it is on {artifact.device}, the layer on {device}; load it for that device"
    return ""


def _geometry_problem(artifact: KernelArtifact, geometry: Geometry | None, host: str) -> str:
    if geometry is None:
        return ""
    if host and host != geometry.host:
        return f"it was made for a layer of type {host!r:.40}, this is {geometry.host!r}"
    takes_ids = artifact.ir.input_spec.dtype == "int64"
    if takes_ids != (geometry.layout is Layout.IDS):
        reads = "ids" if geometry.layout is Layout.IDS else "floating-point values"
        return f"it takes {artifact.ir.input_spec.dtype}, the layer reads {reads}"
    sizes = geometry.example_shape or geometry.input_shape
    if _differ(artifact.metadata.input_shape, sizes):
        return (
            f"it takes samples of shape {artifact.metadata.input_shape}, the layer reads "
            f"{geometry.input_shape}; use a kernel built for that"
        )
    if _differ(artifact.metadata.output_shape, geometry.output_shape):
        return (
            f"it returns samples of shape {artifact.metadata.output_shape}, the layer "
            f"{geometry.output_shape}; use a kernel built for that"
        )
    return ""


def _differ(kernel: Shape, layer: Shape) -> bool:
    """Whether two sizes are known and unequal; axes count from the last one.

    A kernel over the last axes alone works on layers with more axes before them.
    """
    pairs = zip(reversed(kernel), reversed(layer), strict=False)
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)
