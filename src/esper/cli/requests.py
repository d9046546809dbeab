"""What a user asked for, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """`esper train`."""

    quick_start: str | None
    config: Path | None
    data: str | None
    model: str | None
    output: Path | None
    resume: str | None
    """Folder of a run, or `newest`."""
    seed: int | None
    steps: int | None
    overrides: tuple[str, ...]
    """`key=value` each."""
    grow: bool
    urza: str | None
    """Address of a library."""
    enter_kernels: int | None
    """Kernels of the library that may race, at most."""
    deposit: bool
    """Whether kernels that the run keeps go to the library."""
    nursery: str | None
    """Where races are held."""
    loggers: tuple[str, ...]
    """`NAME` or `NAME:WHERE` each."""
    dry_run: bool
    verbose: bool


@dataclass(frozen=True, kw_only=True)
class InspectRequest:
    """`esper inspect`."""

    target: str
    """A run folder, a checkpoint, a quick-start, or `package.module:factory`."""
    input_shape: str | None
    """Shape of one sample, `1x28x28`."""
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class GeometryRequest:
    """A place for a kernel, said on the command line."""

    host: str | None
    """Host type, `linear`."""
    input_shape: str | None
    output_shape: str | None
    """Shapes of one sample, `40`, `16x32`; `?` is an axis of any size."""
    source_shape: str | None
    """What a flat input was before it was flattened, `1x28x28`."""
    causal: bool
    vocabulary: int | None
    """Number of ids that an embedding knows."""


@dataclass(frozen=True, kw_only=True)
class BlueprintsRequest:
    """`esper blueprints list` and `show`."""

    family: str | None
    """None lists."""
    size: str | None
    mode: str | None
    geometry: GeometryRequest
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class KernelBuildRequest:
    """`esper kernel build`."""

    family: str | None
    size: str | None
    ir: Path | None
    mode: str
    geometry: GeometryRequest
    output: Path | None
    """None puts it into the kernel store."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class KernelFileRequest:
    """`esper kernel show` and `verify`."""

    kernels: tuple[str, ...]
    """Paths, or ids in the kernel store."""
    show: bool
    as_json: bool
    trust: tuple[Path, ...] = ()
    """Public keys; with any, one of them must have signed."""


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """`esper export`."""

    source: Path
    output: Path | None
    onnx: Path | None


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """`esper report`."""

    folder: Path
    send: bool
    """Whether to send what the run still has for a library."""
    urza: str | None
    """Address of the library; None takes the run's own."""


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """`esper doctor`."""

    as_json: bool
