"""`esper kernel build`, `show` and `verify`: kernel files, which cannot run code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.console import diagnostics, output, print_error, print_facts, print_json, say
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Trust, read_choice, refuse
from esper.cli.place import Place
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ArtifactError, ConfigError, KernelError
from esper.contracts.library import Signature
from esper.core.durable_file import write_durably
from esper.report import wording
from esper.utils.plain_file import MOST_GRAPH, read_plain

with later():
    from esper.blueprints import build as blueprint_build
    from esper.blueprints import graph_weights, ir
    from esper.blueprints.library import catalog
    from esper.execution import artifact, artifact_check, kernel_store, signature_file
    from esper.execution import trust as trust_policy

NOUN = Noun(is_group=True)

StoredKernels = Annotated[
    list[str], typer.Argument(metavar="KERNEL...", help="Kernel files, or ids in the kernel store.")
]


@NOUN.command(
    "build",
    "esper kernel build --family low-rank --size small --host linear --input 40 --output-shape 100 "
    "-o kernel.safetensors",
    "esper kernel build --ir kernel.json -o kernel.safetensors",
)
def build(
    *,
    family: str | None = None,
    size: str | None = None,
    graph: Annotated[Path | None, typer.Option("--ir", metavar="FILE")] = None,
    mode: str = "replacing",
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    place: Place,
) -> None:
    """Build a kernel with fresh weights, from a blueprint and a geometry or from graph IR.

    Options:
        family: Blueprint family.
        size: Size within the family; default: its first.
        graph: Graph IR as JSON instead.
        mode: replacing or residual.
        file: Default: into the kernel store.
        seed: Of the initial weights.
    """
    joins = read_choice(KernelMode, mode, "--mode")
    if (family is None) == (graph is None):
        raise ConfigError("say what to build: either --family with --host and --input, or --ir")
    if graph is not None:
        refuse("the graph of --ir says its own shapes", size=size, host=place.is_given)
        name, wanted = graph.stem, _read_ir(graph)
    else:
        assert family is not None  # one of the two is there
        geometry = place.geometry()
        if geometry is None:
            raise ConfigError("--family needs a place: give --host and --input")
        size = size or next(iter(catalog.family_named(family).sizes))
        entry = catalog.candidate(geometry, family, size, joins)
        name, wanted = entry.label, entry.ir
    module = blueprint_build.build(wanted, seed=seed)
    data = artifact.pack(module, wanted, joins, blueprint=name, created_by="esper kernel build")
    facts = artifact.unpack(data).metadata
    where = keep(data, (), file)
    say(output(), (facts.kernel_id or "", "name"))
    say(
        output(),
        f"{name}, {joins.value}, {wording.count(facts.parameters)} parameters, "
        f"{wording.count(facts.flops)} FLOPs per sample, {wording.count(len(data))} bytes → {where}",
    )


@NOUN.command("show", "esper kernel show kernel.safetensors", "esper kernel show 3f1c...")
def show(*, kernels: StoredKernels, as_json: AsJson = False) -> int:
    """Show what a kernel file holds: manifest, graph, costs."""
    status = ExitCode.OK
    for reference in kernels:
        try:
            checked = artifact_check.check_file(read_bytes(reference), origin=reference)
        except KernelError as error:
            print_error(diagnostics(), str(error))
            status = ExitCode.FILE
            continue
        facts, console = checked.metadata, output()
        if as_json:
            graph = checked.ir.to_dict()
            data = {"kernel_id": facts.kernel_id, "metadata": facts, "ir": graph}
            print_json(console, data)
            continue
        size = sum(map(len, checked.values.values()))
        known = {
            "blueprint": facts.blueprint,
            "mode": facts.mode.value,
            "shape of a sample": f"{facts.input_shape} → {facts.output_shape}",
            "weights": f"{facts.dtype}, {wording.count(size)} bytes",
            "parameters": wording.count(facts.parameters),
            "FLOPs per sample": wording.count(facts.flops),
            "written by": f"esper {facts.esper_version}, {facts.created_by or 'unknown'}",
            "notes": facts.notes,
        }
        say(console, (facts.kernel_id or "", "name"))
        print_facts(console, {name: value for name, value in known.items() if value})
        say(console, graph_weights.describe(checked.ir), "\n")
    return status


@NOUN.command(
    "verify",
    "esper kernel verify *.safetensors",
    "esper kernel verify *.safetensors --trust me.pem.pub",
)
def verify(*, kernels: StoredKernels, trust: Trust = None) -> int:
    """Check kernel files in every way that loading does; exit code 4 if one is refused."""
    policy = trust_policy.TrustPolicy.from_files(trust) if trust else None
    status = ExitCode.OK
    for reference in kernels:  # every one, whatever comes before
        try:
            data = read_bytes(reference)
            artifact_check.check_file(data, origin=reference)
            kernel_id = artifact_check.kernel_id_of(data)
            if policy is not None:
                policy.check(kernel_id, signatures_of(reference, kernel_id))
        except KernelError as error:
            print_error(diagnostics(), str(error))
            status = ExitCode.FILE
        else:
            say(output(), (reference, "name"), ": ", ("good", "good"), f" {kernel_id}")
    return status


def read_bytes(reference: str) -> bytes:
    """Read a kernel's bytes, unchecked, by path or by an id (or its beginning) in the store.

    Raises:
        KernelNotFoundError: there is no such kernel.
        ArtifactError: the file cannot be read, or is larger than a kernel may be.
    """
    path = Path(reference)
    if not path.exists():
        store = kernel_store.LocalKernelStore()
        return store.get(store.resolve(reference))
    most = artifact_check.ArtifactLimits().file_bytes
    try:
        return read_plain(path, most, pipes=True)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read as a kernel: {error.strerror}") from error


def signatures_of(reference: str, kernel_id: str) -> tuple[Signature, ...]:
    """Read the signatures that stand beside a kernel's file, or beside it in the store."""
    path = Path(reference)
    if path.exists():
        return signature_file.read_signatures(path)
    return kernel_store.LocalKernelStore().signatures(kernel_id)


def keep(data: bytes, signed: tuple[Signature, ...], path: Path | None) -> str:
    """Write a kernel's file, or put it into the store, with its signatures; returns where it is."""
    if path is None:
        store = kernel_store.LocalKernelStore()
        kernel_id = store.put(data)
        for signature in signed:
            store.sign(kernel_id, signature)
        return f"kernel store {store.root}"
    write_durably(path, data)
    for signature in signed:
        signature_file.add_signature(path, signature)
    return str(path)


def _read_ir(path: Path) -> ir.GraphIR:
    try:
        text = read_plain(path, MOST_GRAPH, pipes=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ir {path} cannot be read: {error}") from error
    return ir.GraphIR.from_json(text)
