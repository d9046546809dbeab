"""check_file: whether bytes are a kernel that can be used, without loading it, and without torch.

A kernel file is a safetensors file. Its weights are the tensors; its header's metadata holds one
entry, `esper.kernel`, a JSON document ``{"manifest": KernelMetadata, "ir": GraphIR}``. The
kernel's id is the SHA-256 of the file's bytes.

`check_file` believes nothing. Cheap checks come first, and nothing is allocated that the file does
not pay for with bytes of its own: size, digest, header (`artifact_header.py`), manifest, graph,
then names, shapes and dtypes against what the graph implies, limits on parameters, operations and
depth, agreement of manifest and graph, and finite values. A failed check is final: there is no
second way to read the bytes. The registry checks what it takes in with this, and `artifact.py`
loads only what passed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize

from esper.blueprints.cost import Cost, flops
from esper.blueprints.graph_weights import count_parameters, state_weights
from esper.blueprints.ir import GraphIR, Limits
from esper.contracts.assets import KernelMetadata
from esper.contracts.errors import ArtifactError, BlueprintError
from esper.execution.artifact_header import DTYPES, Header, HeaderError, TensorEntry, read_header
from esper.utils import strict_json

ENTRY: Final = "esper.kernel"
"""The one metadata entry. One, because safetensors writes several in no fixed order."""

REFERENCE_LENGTH: Final = 128
"""Size at which an axis of any size counts in the manifest's `flops`."""

FLOATS: Final = ("float32", "float16", "bfloat16")
"""What a kernel's weights may be, as torch calls it."""

_ID_DIGITS: Final = frozenset("0123456789abcdef")
_EXPONENTS: Final[dict[str, Any]] = {
    "float32": np.uint32(0x7F800000),
    "float16": np.uint16(0x7C00),
    "bfloat16": np.uint16(0x7F80),
}
"""The bits of the exponent: all of them are set in a NaN and in an infinity, and in nothing else."""
_STRETCH: Final = 2**18
"""Values looked at in one go, so that what is compared stays in the processor's cache."""


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
class CheckedKernel:
    """A kernel file that passed every check, not loaded."""

    metadata: KernelMetadata
    """The manifest, with `kernel_id` filled in."""
    ir: GraphIR
    tensors: dict[str, TensorEntry]
    """What the weights are, by name."""
    values: dict[str, bytearray]
    """Their bytes, little-endian."""


def kernel_id_of(data: bytes) -> str:
    """Return the id of a kernel file: the SHA-256 of its bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def is_kernel_id(text: str) -> bool:
    """Return whether `text` has the form of a kernel's id: 64 of 0-9 a-f, and nothing else."""
    return len(text) == 64 and set(text) <= _ID_DIGITS


def check_file(
    data: bytes,
    *,
    expected_id: str | None = None,
    limits: ArtifactLimits | None = None,
    origin: str = "kernel bytes",
) -> CheckedKernel:
    """Return the kernel in `data`, after every check that the module's docstring lists.

    Args:
        data: A whole kernel file.
        expected_id: SHA-256 that the bytes must have; None takes whatever they have.
        limits: Default `ArtifactLimits()`.
        origin: Path or id for error messages.

    Raises:
        ArtifactError: A check failed; names `origin`, the fault and what to do.
    """
    limits = limits or ArtifactLimits()
    try:
        return _check_file(data, expected_id, limits)
    except (RefusalError, HeaderError, BlueprintError, SafetensorError) as problem:
        raise ArtifactError(
            f"{origin} is not a kernel that can be used: {problem!s:.600}. Nothing of it was "
            "loaded; get the file again from where it was made, or build it anew with pack()."
        ) from None


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


class RefusalError(ValueError):
    """A check failed; `check_file` adds the file's name and the remedy."""


def _check_file(data: bytes, expected_id: str | None, limits: ArtifactLimits) -> CheckedKernel:
    if len(data) > limits.file_bytes:
        raise RefusalError(f"it has more bytes than the limit of {limits.file_bytes}")
    kernel_id = kernel_id_of(data)
    if expected_id is not None and kernel_id != expected_id:
        raise RefusalError(f"its SHA-256 is {kernel_id}, not {expected_id}")
    header = read_header(data, max_bytes=limits.header_bytes)
    manifest, ir = _read_document(header, limits)
    found = {name: (entry.dtype, entry.shape) for name, entry in header.tensors.items()}
    check_tensors(found, ir, manifest.dtype)
    _check_price(manifest, ir, limits)
    metadata = manifest.model_copy(update={"kernel_id": kernel_id})
    values = _read_values(data, header.tensors)
    return CheckedKernel(metadata=metadata, ir=ir, tensors=header.tensors, values=values)


def _read_document(header: Header, limits: ArtifactLimits) -> tuple[KernelMetadata, GraphIR]:
    if set(header.metadata) != {ENTRY}:
        raise RefusalError(f"its metadata must have the one entry {ENTRY!r}")
    try:
        document = strict_json.loads(
            header.metadata[ENTRY].encode("utf-8", "surrogatepass"),
            max_bytes=limits.header_bytes,
            max_depth=limits.json_depth,
        )
    except strict_json.StrictJsonError as problem:
        raise RefusalError(f"its description {problem}") from None
    if type(document) is not dict or set(document) != {"manifest", "ir"}:
        raise RefusalError("its description must have exactly the fields manifest and ir")
    manifest = _read_manifest(document["manifest"])
    ir = GraphIR.from_dict(document["ir"], limits.graph)
    if set(ir.inputs) != {"x"} or set(ir.outputs) != {"y"}:
        raise RefusalError("its graph must have the one input 'x' and the one output 'y'")
    return manifest, ir


def _read_manifest(fields: Any) -> KernelMetadata:
    if type(fields) is not dict:
        raise RefusalError("its manifest is not a JSON object")
    try:
        manifest = KernelMetadata.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusalError(f"its manifest's field {where!r:.80}: {first['msg']}") from None
    if manifest.kernel_id is not None:
        raise RefusalError("its manifest states a kernel_id; a file cannot hold its own digest")
    if manifest.dtype not in FLOATS:
        raise RefusalError(f"its dtype is {manifest.dtype!r:.40}; allowed: {', '.join(FLOATS)}")
    return manifest


def check_tensors(found: dict[str, tuple[str, tuple[int, ...]]], ir: GraphIR, dtype: str) -> None:
    """Check that names, dtypes and shapes are those that the graph implies.

    Raises:
        RefusalError: They are not.
    """
    implied = state_weights(ir)
    if missing := sorted(set(implied) - set(found)):
        raise RefusalError(f"it lacks the tensor {missing[0]!r} ({len(missing)} missing in all)")
    if extra := sorted(set(found) - set(implied)):
        raise RefusalError(
            f"its graph has no tensor {extra[0]!r:.80} ({len(extra)} too many in all)"
        )
    for name, weight in implied.items():
        wanted = dtype if weight.dtype == "float32" else weight.dtype
        has_dtype, has_shape = found[name]
        if has_shape != weight.shape:
            raise RefusalError(
                f"tensor {name!r} has shape {has_shape}, its graph implies {weight.shape}"
            )
        if has_dtype != wanted:
            raise RefusalError(f"tensor {name!r} has {has_dtype}, its graph implies {wanted}")


def _check_price(manifest: KernelMetadata, ir: GraphIR, limits: ArtifactLimits) -> None:
    """Cost is within the limits, and the manifest tells the truth about the graph."""
    price = reference_cost(ir)
    if price.parameters > limits.graph.parameters:
        raise RefusalError(f"it has {price.parameters} parameters, limit {limits.graph.parameters}")
    if price.flops > limits.flops:
        raise RefusalError(f"it needs {price.flops} operations per sample, limit {limits.flops}")
    told = {
        "input_shape": (manifest.input_shape, ir.input_spec.shape),
        "output_shape": (manifest.output_shape, ir.output_spec.shape),
        "parameters": (manifest.parameters, price.parameters),
        "flops": (manifest.flops, price.flops),
    }
    for name, (says, is_) in told.items():
        if says != is_:
            raise RefusalError(f"its manifest says {name} {says!r:.80}, its graph has {is_!r:.80}")


def _read_values(data: bytes, entries: dict[str, TensorEntry]) -> dict[str, bytearray]:
    read = dict(deserialize(data))  # type: ignore[no-untyped-call]  # it has no annotations
    if set(read) != set(entries):
        raise RefusalError("safetensors reads other tensors from it than its header lists")
    for name, tensor in read.items():
        entry = entries[name]
        dtype, width = DTYPES.get(tensor["dtype"], (None, 0))
        same = (dtype, tuple(tensor["shape"])) == (entry.dtype, entry.shape)
        if not same or len(tensor["data"]) != math.prod(entry.shape) * width:
            raise RefusalError(f"safetensors reads tensor {name!r} otherwise than its header says")
        if dtype == "int64":
            # The only integers in a kernel are counts (of batches seen by a norm).
            if bool((np.frombuffer(tensor["data"], np.int64) < 0).any()):
                raise RefusalError(f"tensor {name!r} holds a negative count")
        elif not _is_finite(tensor["data"], _EXPONENTS[entry.dtype]):
            raise RefusalError(f"tensor {name!r} holds a NaN or an infinity")
    return {name: tensor["data"] for name, tensor in read.items()}


def _is_finite(data: bytearray, exponent: Any) -> bool:
    bits: NDArray[Any] = np.frombuffer(data, exponent.dtype)
    return not any(
        bool(((bits[start : start + _STRETCH] & exponent) == exponent).any())
        for start in range(0, len(bits), _STRETCH)
    )
