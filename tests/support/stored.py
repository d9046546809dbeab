"""Things to put into a library, and the short way to put them there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import kernels
from esper.contracts.assets import Blueprint
from esper.contracts.enums import AdaptationOutcome, BlueprintState, KernelMode
from esper.contracts.library import (
    BlueprintRecord,
    KernelOutcome,
    KernelRecord,
    KernelRegistration,
    Latency,
    Lease,
    Target,
    Toolchain,
    ValidationReport,
)
from esper.contracts.operational import FieldReport
from esper.services.urza.kernel_library import Library

ACTOR = "tester"


def blueprint(blueprint_id: str = "bp-1", width: int = 3, **changes: Any) -> Blueprint:
    """A blueprint of two linear layers, whose figures are right."""
    graph = kernels.mlp_graph(width)
    fields: dict[str, Any] = {
        "blueprint_id": blueprint_id,
        "name": f"mlp/{width}",
        "family": "mlp",
        "size": "small",
        "mode": KernelMode.REPLACING,
        "architecture": graph.to_dict(),
        "input_shape": (4,),
        "output_shape": (4,),
        "parameters": 4 * width + width + width * 4 + 4,
        "flops": 1,
        "state": BlueprintState.UNVALIDATED,
    }
    return Blueprint(**{**fields, **changes})


def kernel_file(seed: int = 0, width: int = 3) -> bytes:
    """A kernel of `blueprint(width=width)`."""
    return kernels.kernel_file(kernels.mlp_graph(width), seed=seed)


def id_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def report(*medians: float, **changes: Any) -> ValidationReport:
    """A proof with one latency for each median."""
    latencies = tuple(
        Latency(target=Target(batch_size=n + 1), median_us=median, worst_us=median, calls=1)
        for n, median in enumerate(medians)
    )
    toolchain = Toolchain(esper="1", torch="2", python="3", machine="x")
    fields = {"passed": True, "toolchain": toolchain, "latencies": latencies}
    return ValidationReport(**{**fields, **changes})


def outcome(kernel_id: str, report_id: str, gain: float | None, **changes: Any) -> KernelOutcome:
    field = FieldReport(
        step=1,
        layer_name="fc",
        blueprint="mlp/3",
        kernel_id=kernel_id,
        outcome=changes.pop("outcome", AdaptationOutcome.FOSSILIZED),
        gain=gain,
    )
    fields = {"report_id": report_id, "run_id": "run-1", "kernel_id": kernel_id, "report": field}
    return KernelOutcome(**{**fields, **changes})


async def chunks(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def upload(library: Library, data: bytes) -> str:
    """Store a file and return its digest."""
    await library.blobs.put(ACTOR, id_of(data), chunks(data), len(data))
    return id_of(data)


async def register(library: Library, data: bytes, **fields: Any) -> KernelRecord:
    """Store and register a kernel file."""
    registration = KernelRegistration(kernel_id=await upload(library, data), **fields)
    record, _ = await library.kernels.register(ACTOR, registration)
    return record


async def kernel_of(library: Library, kernel_id: str) -> KernelRecord:
    """A stored kernel."""
    return KernelRecord.model_validate_json((await library.kernels.get_json(kernel_id))[0])


async def lease_of(library: Library, worker: str = "worker", seconds: float = 60.0) -> Lease:
    lease = await library.leases.grant(ACTOR, worker, seconds)
    assert lease is not None
    return lease


async def build(library: Library, blueprint_id: str = "bp-1", seed: int = 0) -> KernelRecord:
    """Submit a blueprint, lease it, upload its kernel and complete the lease."""
    await library.blueprints.submit(ACTOR, blueprint(blueprint_id))
    lease = await lease_of(library)
    return await complete(library, lease, kernel_file(seed))


async def complete(library: Library, lease: Lease, data: bytes) -> KernelRecord:
    registration = KernelRegistration(kernel_id=await upload(library, data))
    return await library.leases.complete(
        ACTOR, lease.blueprint.blueprint_id, lease.token, registration, report(10.0)
    )


async def state_of(library: Library, blueprint_id: str = "bp-1") -> BlueprintState:
    record: BlueprintRecord = await library.blueprints.get(blueprint_id)
    return record.blueprint.state
