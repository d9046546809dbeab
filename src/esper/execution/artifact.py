"""KernelArtifact: a kernel as one file that cannot run code.

What the file is, and every check that it must pass before anything of it is loaded, stands in
`artifact_check.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR
from esper.contracts.assets import KernelMetadata
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ArtifactError, KernelMismatchError
from esper.contracts.version import VERSION
from esper.execution.artifact_check import (
    ENTRY,
    ArtifactLimits,
    RefusalError,
    check_file,
    check_tensors,
    reference_cost,
)

FLOAT_DTYPES: Final = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
_DTYPES: Final = {**FLOAT_DTYPES, "int64": torch.int64}


@dataclass(frozen=True, kw_only=True)
class KernelArtifact:
    """A kernel that passed every check."""

    metadata: KernelMetadata
    """The manifest, with `kernel_id` filled in."""
    ir: GraphIR
    weights: dict[str, Tensor]
    """The `state_dict` of the built module."""

    @property
    def kernel_id(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal."""
        if self.metadata.kernel_id is None:
            raise ArtifactError("this artifact has no id; make it with unpack()")
        return self.metadata.kernel_id

    @property
    def nbytes(self) -> int:
        """Bytes that the weights take in memory."""
        return sum(tensor.nbytes for tensor in self.weights.values())

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU if there are none."""
        return next((tensor.device for tensor in self.weights.values()), torch.device("cpu"))

    def to(self, device: torch.device | str) -> KernelArtifact:
        """Return this artifact with its weights on `device`; itself if they are there already."""
        device = torch.device(device)
        moved = {name: tensor.to(device) for name, tensor in self.weights.items()}
        if all(moved[name] is tensor for name, tensor in self.weights.items()):
            return self
        return KernelArtifact(metadata=self.metadata, ir=self.ir, weights=moved)

    def build(self) -> nn.Module:
        """Return a new module with a copy of these weights, in training mode, on their device.

        Torch's global random state is left as it is.
        """
        module = build(self.ir, seed=0).to(FLOAT_DTYPES[self.metadata.dtype]).to(self.device)
        module.load_state_dict(self.weights)
        return module


def pack(
    module: nn.Module,
    ir: GraphIR,
    mode: KernelMode,
    *,
    blueprint: str,
    created_by: str = "",
    notes: str = "",
    limits: ArtifactLimits | None = None,
) -> bytes:
    """Return a kernel file: equal arguments give equal bytes.

    Args:
        module: Built from `ir`, perhaps trained; float32, float16 or bfloat16, on any device.
        ir: The graph.
        mode: How the kernel joins its host.
        blueprint: Name of the blueprint, for people and records.
        created_by: Free text for the manifest.
        notes: Free text for the manifest.
        limits: Checked at once, so that what is written can be read.

    Raises:
        KernelMismatchError: The module's weights are not the ones that the graph implies.
        ArtifactError: The result fails a check of `unpack`, such as a weight that is not finite.
    """
    weights = {n: t.detach().cpu().contiguous().clone() for n, t in module.state_dict().items()}
    dtype = _float_dtype(weights)
    try:
        check_tensors({n: (_name(t.dtype), tuple(t.shape)) for n, t in weights.items()}, ir, dtype)
    except RefusalError as problem:
        raise KernelMismatchError(
            f"the module does not belong to this graph: {problem}; pack what build(ir) returned"
        ) from None
    price = reference_cost(ir)
    manifest = KernelMetadata(
        blueprint=blueprint,
        mode=mode,
        input_shape=ir.input_spec.shape,
        output_shape=ir.output_spec.shape,
        dtype=dtype,
        parameters=price.parameters,
        flops=price.flops,
        esper_version=VERSION,
        created_by=created_by,
        notes=notes,
    )
    document = {"manifest": manifest.model_dump(mode="json"), "ir": ir.to_dict()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    data: bytes = save_safetensors(weights, metadata={ENTRY: text})
    unpack(data, limits=limits, origin="the kernel being packed")
    return data


def unpack(
    data: bytes,
    *,
    expected_id: str | None = None,
    limits: ArtifactLimits | None = None,
    origin: str = "kernel bytes",
) -> KernelArtifact:
    """Return the kernel in `data`, after every check of `check_file`.

    Args:
        data: A whole kernel file.
        expected_id: SHA-256 that the bytes must have; None takes whatever they have.
        limits: Default `ArtifactLimits()`.
        origin: Path or id for error messages.

    Returns:
        The artifact, its weights on the CPU.

    Raises:
        ArtifactError: A check failed; names `origin`, the fault and what to do.
    """
    checked = check_file(data, expected_id=expected_id, limits=limits, origin=origin)
    # The memory is the tensors' from here on: nothing is copied.
    weights = {
        name: torch.frombuffer(checked.values[name], dtype=_DTYPES[entry.dtype]).view(entry.shape)
        for name, entry in checked.tensors.items()
    }
    return KernelArtifact(metadata=checked.metadata, ir=checked.ir, weights=weights)


def read_kernel_file(
    path: Path, *, expected_id: str | None = None, limits: ArtifactLimits | None = None
) -> KernelArtifact:
    """Return the kernel in the file at `path`, without reading more than the limit allows.

    Raises:
        ArtifactError: A check failed.
        OSError: The file cannot be read.
    """
    limits = limits or ArtifactLimits()
    with path.open("rb") as file:
        data = file.read(limits.file_bytes + 1)
    return unpack(data, expected_id=expected_id, limits=limits, origin=str(path))


def _float_dtype(weights: dict[str, Tensor]) -> str:
    """Return the one floating dtype of the weights ("float32" if there are none)."""
    found = {_name(t.dtype) for t in weights.values() if t.is_floating_point()}
    if len(found) > 1 or not found <= set(FLOAT_DTYPES):
        raise KernelMismatchError(
            f"the module's weights are {', '.join(sorted(found))}; convert it to one of "
            f"{', '.join(FLOAT_DTYPES)} with module.to(dtype)"
        )
    return found.pop() if found else "float32"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
