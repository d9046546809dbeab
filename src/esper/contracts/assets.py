"""Assets: what the platform owns and keeps. Seeds, blueprints, kernels' manifests."""

from __future__ import annotations

from uuid import uuid4

from pydantic import Field

from esper.contracts.base import (
    Contract,
    Count,
    Fraction,
    Identifier,
    JsonObject,
    KernelId,
    Moment,
    Name,
    Shape,
    Text,
    utc_now,
)
from esper.contracts.enums import BlueprintState, KernelMode, SeedState


class Seed(Contract):
    """One slot of one layer, as the platform's records see it.

    The live object inside a layer is the execution part's own; this is its description.
    """

    seed_id: Identifier = Field(default_factory=lambda: str(uuid4()))
    """Identity of the record."""
    layer_id: Count
    """Position of the layer among the model's Kasmina layers, in `named_modules` order."""
    layer_name: Name = ""
    """Qualified name of the layer in the model (`encoder.layers.0.linear1`)."""
    position: Count
    """Index of the slot within its layer."""
    state: SeedState = SeedState.DORMANT
    """The seed's state in the user's words."""
    alpha: Fraction = 0.0
    """Blending coefficient."""
    blueprint_id: Identifier | None = None
    """The blueprint that the slot's kernel was built from, if it holds one."""
    kernel_id: KernelId | None = None
    """The kernel file that the slot's kernel came from, if it came from one."""
    created_at: Moment = Field(default_factory=utc_now)
    """When the record was made, UTC."""


class Blueprint(Contract):
    """What a kernel computes: a graph IR with a name, a family and a size."""

    blueprint_id: Identifier = Field(default_factory=lambda: str(uuid4()))
    """Identity of the blueprint."""
    name: Name = Field(min_length=1)
    """Name for people, for example `conv1d_stack/medium`."""
    family: Name = Field(min_length=1)
    """Key of the family in the blueprint library."""
    size: Name = Field(min_length=1)
    """One of the family's sizes."""
    mode: KernelMode
    """How the kernel joins its host."""
    architecture: JsonObject
    """The graph IR as JSON (`blueprints.ir.GraphIR.to_json`)."""
    input_shape: Shape
    """Shape of one sample at the input."""
    output_shape: Shape
    """Shape of one sample at the output."""
    parameters: Count
    """Exact number of trainable scalars."""
    flops: Count
    """Exact floating-point operations of one sample's forward pass (2 per multiply-add)."""
    host: Name = ""
    """Host type that it was made for (`linear`, `conv2d`, ...); empty for any."""
    state: BlueprintState = BlueprintState.PROPOSED
    """Where it stands on its way to a usable kernel."""
    created_at: Moment = Field(default_factory=utc_now)
    """When the record was made, UTC."""


class KernelMetadata(Contract):
    """The manifest of a kernel file.

    The file's id is not part of the file (it is the digest of its bytes), so `kernel_id` is
    None in the manifest as written and filled in by whoever read or stored the bytes.
    """

    kernel_id: KernelId | None = None
    """SHA-256 of the file's bytes."""
    blueprint: Name = Field(min_length=1)
    """Name of the blueprint that the kernel was built from."""
    mode: KernelMode
    """How the kernel joins its host."""
    input_shape: Shape
    """Shape of one sample at the input."""
    output_shape: Shape
    """Shape of one sample at the output."""
    dtype: Name = "float32"
    """Element type of the weights, as torch spells it without the `torch.` prefix."""
    parameters: Count
    """Exact number of trainable scalars."""
    flops: Count
    """Exact floating-point operations of one sample's forward pass (2 per multiply-add)."""
    esper_version: Name
    """Version of this package that wrote the file."""
    created_by: Name = ""
    """Who or what built the kernel; free text."""
    notes: Text = ""
    """Anything a person should know; free text."""
