"""KernelArtifact: a kernel as one file that cannot run code.

A kernel file is a safetensors file. Its weights are the tensors; its header's metadata holds one
entry, `esper.kernel`, a JSON document ``{"manifest": KernelMetadata, "ir": GraphIR}``. The
kernel's id is the SHA-256 of the file's bytes.

`unpack` believes nothing. Cheap checks come first, and nothing is allocated that the file does
not pay for with bytes of its own: size, digest, header (`artifact_header.py`), manifest, graph,
then names, shapes and dtypes against what the graph implies, limits on parameters, operations and
depth, agreement of manifest and graph, and finite values. A failed check is final: there is no
second way to read the bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from esper.blueprints.build import build, count_parameters, state_tensors
from esper.blueprints.cost import Cost, flops
from esper.blueprints.ir import GraphIR, Limits
from esper.contracts.assets import KernelMetadata
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ArtifactError, BlueprintError, KernelMismatchError
from esper.contracts.version import VERSION
from esper.execution.artifact_header import Header, HeaderError, TensorEntry, read_header
from esper.execution.kernel_check import is_finite
from esper.utils import strict_json

ENTRY: Final = "esper.kernel"
"""The one metadata entry. One, because safetensors writes several in no fixed order."""

REFERENCE_LENGTH: Final = 128
"""Size at which an axis of any size counts in the manifest's `flops`."""

FLOAT_DTYPES: Final = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}

_ID_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, kw_only=True)
class ArtifactLimits:
    """What a kernel file may be at most."""

    file_bytes: int = 2**30
    """Size of the file."""
    header_bytes: int = 2**21
    """Size of its header, which holds the graph."""
    json_depth: int = 8
    """Nesting of manifest and graph; a valid one needs 6."""
    flops: int = 10**13
    """Forward operations for one sample, open axes at `REFERENCE_LENGTH`."""
    graph: Limits = field(default_factory=Limits)
    """Nodes, depth, intermediate sizes and parameters of the graph."""


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


def kernel_id_of(data: bytes) -> str:
    """Return the id of a kernel file: the SHA-256 of its bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_kernel_id(text: str) -> bool:
    """Return whether `text` has the form of a kernel's id: 64 of 0-9 a-f, and nothing else."""
    return len(text) == 64 and set(text) <= _ID_DIGITS


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
        _check_tensors({name: (t.dtype, tuple(t.shape)) for name, t in weights.items()}, ir, dtype)
    except _RefusalError as problem:
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
    """Return the kernel in `data`, after every check that the module's docstring lists.

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
    limits = limits or ArtifactLimits()
    try:
        return _unpack(data, expected_id, limits)
    except (_RefusalError, HeaderError, BlueprintError, SafetensorError) as problem:
        raise ArtifactError(
            f"{origin} is not a kernel that can be used: {problem!s:.600}. Nothing of it was "
            "loaded; get the file again from where it was made, or build it anew with pack()."
        ) from None


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


def reference_cost(ir: GraphIR) -> Cost:
    """Return the cost for one sample, axes of any size taken as `REFERENCE_LENGTH`.

    Raises:
        BlueprintError: The graph does not accept that length.
    """
    return Cost(parameters=count_parameters(ir), flops=_reference_flops(ir))


def _reference_flops(ir: GraphIR) -> int:
    shape = ir.input_spec.shape
    if None not in shape:
        return flops(ir)
    return flops(ir, tuple(REFERENCE_LENGTH if size is None else size for size in shape))


class _RefusalError(ValueError):
    """A check failed; `unpack` adds the file's name and the remedy."""


def _unpack(data: bytes, expected_id: str | None, limits: ArtifactLimits) -> KernelArtifact:
    if len(data) > limits.file_bytes:
        raise _RefusalError(f"it has more bytes than the limit of {limits.file_bytes}")
    kernel_id = kernel_id_of(data)
    if expected_id is not None and kernel_id != expected_id:
        raise _RefusalError(f"its SHA-256 is {kernel_id}, not {expected_id}")
    header = read_header(data, max_bytes=limits.header_bytes)
    manifest, ir = _read_document(header, limits)
    parameters = _check_tensors(
        {n: (e.dtype, e.shape) for n, e in header.tensors.items()}, ir, manifest.dtype
    )
    _check_price(manifest, ir, limits, parameters)
    weights: dict[str, Tensor] = load_safetensors(data)
    _check_values(weights, header.tensors)
    metadata = manifest.model_copy(update={"kernel_id": kernel_id})
    return KernelArtifact(metadata=metadata, ir=ir, weights=weights)


def _read_document(header: Header, limits: ArtifactLimits) -> tuple[KernelMetadata, GraphIR]:
    if set(header.metadata) != {ENTRY}:
        raise _RefusalError(f"its metadata must have the one entry {ENTRY!r}")
    try:
        document = strict_json.loads(
            header.metadata[ENTRY].encode("utf-8", "surrogatepass"),
            max_bytes=limits.header_bytes,
            max_depth=limits.json_depth,
        )
    except strict_json.StrictJsonError as problem:
        raise _RefusalError(f"its description {problem}") from None
    if type(document) is not dict or set(document) != {"manifest", "ir"}:
        raise _RefusalError("its description must have exactly the fields manifest and ir")
    manifest = _read_manifest(document["manifest"])
    ir = GraphIR.from_dict(document["ir"], limits.graph)
    if set(ir.inputs) != {"x"} or set(ir.outputs) != {"y"}:
        raise _RefusalError("its graph must have the one input 'x' and the one output 'y'")
    return manifest, ir


def _read_manifest(fields: Any) -> KernelMetadata:
    if type(fields) is not dict:
        raise _RefusalError("its manifest is not a JSON object")
    try:
        manifest = KernelMetadata.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _RefusalError(f"its manifest's field {where!r:.80}: {first['msg']}") from None
    if manifest.kernel_id is not None:
        raise _RefusalError("its manifest states a kernel_id; a file cannot hold its own digest")
    if manifest.dtype not in FLOAT_DTYPES:
        raise _RefusalError(
            f"its dtype is {manifest.dtype!r:.40}; allowed: {', '.join(FLOAT_DTYPES)}"
        )
    return manifest


def _check_tensors(
    found: dict[str, tuple[torch.dtype, tuple[int, ...]]], ir: GraphIR, dtype: str
) -> int:
    """Names, shapes and dtypes are those that the graph implies. Returns the parameters' number."""
    implied = state_tensors(ir)
    if missing := sorted(set(implied) - set(found)):
        raise _RefusalError(f"it lacks the tensor {missing[0]!r} ({len(missing)} missing in all)")
    if extra := sorted(set(found) - set(implied)):
        raise _RefusalError(
            f"its graph has no tensor {extra[0]!r:.80} ({len(extra)} too many in all)"
        )
    for name, tensor in implied.items():
        wanted = FLOAT_DTYPES[dtype] if tensor.is_floating_point() else tensor.dtype
        has_dtype, has_shape = found[name]
        if has_shape != tuple(tensor.shape):
            raise _RefusalError(
                f"tensor {name!r} has shape {has_shape}, its graph implies {tuple(tensor.shape)}"
            )
        if has_dtype != wanted:
            raise _RefusalError(f"tensor {name!r} has {has_dtype}, its graph implies {wanted}")
    return sum(t.numel() for t in implied.values() if isinstance(t, nn.Parameter))


def _check_price(
    manifest: KernelMetadata, ir: GraphIR, limits: ArtifactLimits, parameters: int
) -> None:
    """Cost is within the limits, and the manifest tells the truth about the graph."""
    price = Cost(parameters=parameters, flops=_reference_flops(ir))
    if price.parameters > limits.graph.parameters:
        raise _RefusalError(
            f"it has {price.parameters} parameters, limit {limits.graph.parameters}"
        )
    if price.flops > limits.flops:
        raise _RefusalError(f"it needs {price.flops} operations per sample, limit {limits.flops}")
    told = {
        "input_shape": (manifest.input_shape, ir.input_spec.shape),
        "output_shape": (manifest.output_shape, ir.output_spec.shape),
        "parameters": (manifest.parameters, price.parameters),
        "flops": (manifest.flops, price.flops),
    }
    for name, (says, is_) in told.items():
        if says != is_:
            raise _RefusalError(f"its manifest says {name} {says!r:.80}, its graph has {is_!r:.80}")


def _check_values(weights: dict[str, Tensor], entries: dict[str, TensorEntry]) -> None:
    if set(weights) != set(entries):
        raise _RefusalError("safetensors reads other tensors from it than its header lists")
    for name, tensor in weights.items():
        entry = entries[name]
        if tensor.dtype != entry.dtype or tuple(tensor.shape) != entry.shape:
            raise _RefusalError(f"safetensors reads tensor {name!r} otherwise than its header says")
        if tensor.is_floating_point():
            if not is_finite(tensor):
                raise _RefusalError(f"tensor {name!r} holds a NaN or an infinity")
        elif bool((tensor < 0).any()):
            # The only integers in a kernel are counts (of batches seen by a norm).
            raise _RefusalError(f"tensor {name!r} holds a negative count")


def _float_dtype(weights: dict[str, Tensor]) -> str:
    """Return the one floating dtype of the weights ("float32" if there are none)."""
    found = {str(t.dtype).removeprefix("torch.") for t in weights.values() if t.is_floating_point()}
    if len(found) > 1 or not found <= set(FLOAT_DTYPES):
        raise KernelMismatchError(
            f"the module's weights are {', '.join(sorted(found))}; convert it to one of "
            f"{', '.join(FLOAT_DTYPES)} with module.to(dtype)"
        )
    return found.pop() if found else "float32"
