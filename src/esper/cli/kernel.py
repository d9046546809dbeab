"""`esper kernel`: kernels in a library; `kernel_file.py` has the commands for files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from esper.cli.console import diagnostics, output, print_each, print_json, print_notice, say
from esper.cli.kernel_file import NOUN, StoredKernels, keep, read_bytes, signatures_of
from esper.cli.lazy import later
from esper.cli.library_text import blueprint_facts, kernel_facts, print_kernel
from esper.cli.options import (
    AsJson,
    Limit,
    Tags,
    Trust,
    Urza,
    first_problem,
    read_optional,
    read_tags,
    refuse,
)
from esper.cli.place import Host, InputShape, OutputShape, parse_shape
from esper.contracts.enums import KernelMode, KernelStatus
from esper.contracts.errors import ArtifactError, ConfigError, LibraryNotFoundError
from esper.contracts.library import (
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lineage,
    ValidationReport,
)
from esper.contracts.lifecycle import KernelEvent
from esper.hosting.library_access import library
from esper.report import wording

with later():
    from esper.execution import artifact_check, signature_file, signatures
    from esper.execution import trust as trust_policy
    from esper.services.urza.client import core, urza_client

SORTS = ("gain", "newest", "latency", "parameters")
PUBLIC = ".pub"

_EVENTS = ", ".join(event.value for event in KernelEvent)
_STATUSES = ", ".join(status.value for status in KernelStatus)

Reference = Annotated[
    str, typer.Argument(metavar="KERNEL", help="Id, or an alias such as edge-conv@production.")
]
References = Annotated[
    list[str],
    typer.Argument(metavar="KERNEL...", help="Ids, or aliases such as edge-conv@production."),
]


@NOUN.command(
    "push",
    "esper kernel push kernel.safetensors --host linear --tag task=mnist1d",
    "esper kernel push kernel.safetensors --key me.pem",
)
def push(
    *,
    kernels: StoredKernels,
    blueprint: Annotated[str | None, typer.Option(metavar="ID")] = None,
    host: Host = None,
    tag: Tags = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    urza: Urza = None,
) -> None:
    """Check kernels as loading does, and store them in a library with their signatures.

    Options:
        blueprint: The blueprint that they were built from.
        key: Private key to sign them with first.
    """
    tags = read_tags(tag)
    private = None if key is None else signatures.read_private_key(key)
    checked: list[tuple[bytes, KernelRegistration]] = []
    for reference in kernels:  # every file is checked before the first is sent
        data = read_bytes(reference)
        artifact_check.check_file(data, origin=reference)
        kernel_id = artifact_check.kernel_id_of(data)
        signed = signatures_of(reference, kernel_id)
        if private is not None:
            signed = tuple(dict.fromkeys((*signed, signatures.sign(kernel_id, private))))
        registration = KernelRegistration(
            kernel_id=kernel_id,
            blueprint_id=blueprint,
            host=host or "",
            tags=tags,
            signatures=signed,
        )
        checked.append((data, registration))
    with library(urza) as client:
        for data, registration in checked:
            record = client.deposit(data, registration)
            print_kernel(output(), record)
            if not set(registration.signatures) <= set(record.signatures):
                print_notice(
                    diagnostics(),
                    "the library had this kernel already, and leaves it as it is; `esper kernel "
                    f"sign {registration.kernel_id} --key FILE` adds a signature to it",
                )


@NOUN.command(
    "pull",
    "esper kernel pull edge-conv@production",
    "esper kernel pull edge-conv@production -o kernel.safetensors --trust me.pem.pub",
)
def pull(
    *,
    kernels: References,
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    trust: Trust = None,
    rejected: Annotated[bool, typer.Option("--rejected")] = False,
    urza: Urza = None,
) -> None:
    """Get kernels from a library, check them as loading does, and keep them here.

    Options:
        file: For one kernel; default: the kernel store.
        rejected: Take kernels that were rejected, too.
    """
    if file is not None and len(kernels) > 1:
        raise ConfigError("--output is for one kernel; without it, they go into the kernel store")
    policy = trust_policy.TrustPolicy.from_files(trust) if trust else None
    with library(urza) as client:
        for reference in kernels:
            record = client.kernel(_resolve(client, reference))
            kernel_id = record.metadata.kernel_id or ""
            if record.status is KernelStatus.REJECTED and not rejected:
                raise ArtifactError(
                    f"kernel {kernel_id} was rejected: {_why(record)}; --rejected takes it all "
                    "the same"
                )
            data = _fetched(client, kernel_id)
            if policy is not None:
                policy.check(kernel_id, record.signatures)
            where = keep(data, record.signatures, file)
            say(output(), (kernel_id, "name"))
            say(output(), f"  {', '.join(kernel_facts(record))} → {where}")


@NOUN.command(
    "promote",
    "esper kernel promote 3f1c... --event validate --reason 'measured by hand'",
    "esper kernel promote 3f1c... edge-conv@production",
)
def promote(
    *,
    kernel: Reference,
    alias: Annotated[str | None, typer.Argument()] = None,
    event: Annotated[str | None, typer.Option(help=f"Move its status: {_EVENTS}.")] = None,
    revision: Annotated[int | None, typer.Option(min=0)] = None,
    reason: str = "",
    urza: Urza = None,
) -> None:
    """Move a kernel's status, or point an alias at it.

    Options:
        alias: Name to point at it, such as edge-conv@production.
        revision: Only if the alias (the kernel) is at this revision; 0: no alias.
        reason: With --event: for the audit log.
    """
    move = read_optional(KernelEvent, event, "--event")
    if move is None:
        refuse("it is for the audit log's entry of an --event", reason=reason or None)
        if alias is None:
            raise ConfigError("say what to do: name an ALIAS to point at the kernel, or --event")
    elif alias is not None and revision is not None:
        raise ConfigError("--revision is for one change; give the ALIAS or --event, not both")
    with library(urza) as client:
        kernel_id = _resolve(client, kernel)
        if move is not None:  # the status first, then the alias
            now = client.kernel(kernel_id).revision if revision is None else revision
            print_kernel(output(), client.move_kernel(kernel_id, move, revision=now, reason=reason))
        if alias is not None:
            _point(client, kernel_id, alias, revision)


@NOUN.command("lineage", "esper kernel lineage edge-conv@production")
def lineage(*, kernel: Reference, urza: Urza = None, as_json: AsJson = False) -> None:
    """Show where a kernel comes from and what became of it."""
    with library(urza) as client:
        found = client.lineage(_resolve(client, kernel))
    if as_json:
        print_json(output(), found)
        return
    print_kernel(output(), found.kernel)
    for what, text in _origins(found):
        say(output(), (f"  {what}: ", "quiet"), text)


@NOUN.command(
    "sign",
    "esper kernel sign kernel.safetensors --key me.pem --new-key",
    "esper kernel sign edge-conv@production --key me.pem",
)
def sign(
    *,
    kernels: Annotated[list[str], typer.Argument(metavar="KERNEL...")],
    key: Annotated[Path, typer.Option(metavar="FILE")],
    new_key: Annotated[bool, typer.Option("--new-key")] = False,
    urza: Urza = None,
) -> None:
    """Sign kernels, after checking them as loading does.

    Options:
        kernels: Files (signed beside the file), or ids and aliases.
        key: Ed25519 private key, PEM.
        new_key: Make the key first, and FILE.pub for others.
    """
    files = [reference for reference in kernels if Path(reference).exists()]
    rest = [reference for reference in kernels if reference not in files]
    if not rest:
        refuse("files are signed beside the file, not in a library", urza=urza)
    if new_key:
        private = signatures.new_key(key)
        signatures.write_public_key(key.with_name(key.name + PUBLIC), private.public_key())
    else:
        private = signatures.read_private_key(key)
    for reference in files:
        data = read_bytes(reference)
        artifact_check.check_file(data, origin=reference)
        signature = signatures.sign(artifact_check.kernel_id_of(data), private)
        signature_file.add_signature(Path(reference), signature)
        say(output(), (reference, "name"), f": signed by {signature.key_id}")
    if not rest:
        return
    with library(urza) as client:
        for reference in rest:
            kernel_id = _resolve(client, reference)
            _fetched(client, kernel_id)
            signature = signatures.sign(kernel_id, private)
            client.sign(kernel_id, signature)
            say(output(), (reference, "name"), f": signed by {signature.key_id}")


@NOUN.command(
    "search",
    "esper kernel search --host linear --input 40 --output-shape 100 --status validated",
    "esper kernel search --tag task=mnist1d --sort latency --json",
)
def search(
    *,
    host: Host = None,
    input_shape: InputShape = None,
    output_shape: OutputShape = None,
    mode: str | None = None,
    status: Annotated[str | None, typer.Option(help=f"Where it stands: {_STATUSES}.")] = None,
    blueprint: str | None = None,
    max_parameters: Annotated[int | None, typer.Option(min=0)] = None,
    max_latency_us: Annotated[float | None, typer.Option(min=0)] = None,
    max_bytes: Annotated[int | None, typer.Option(min=0)] = None,
    tag: Tags = None,
    sort: str = "gain",
    limit: Limit = 50,
    urza: Urza = None,
    as_json: AsJson = False,
) -> None:
    """Find kernels in a library, those with the largest proven gain first.

    Options:
        mode: replacing or residual.
        blueprint: Name of its blueprint.
        max_parameters: Trainable scalars.
        max_latency_us: Microseconds; leaves out what was not measured.
        max_bytes: Size of the file.
        sort: gain, newest, latency or parameters.
    """
    if sort not in SORTS:
        raise ConfigError(f"--sort {sort!r} is none of {', '.join(SORTS)}")
    try:
        query = KernelQuery(
            host=host,
            mode=read_optional(KernelMode, mode, "--mode"),
            input_shape=_spelt(input_shape, "--input"),
            output_shape=_spelt(output_shape, "--output-shape"),
            status=read_optional(KernelStatus, status, "--status"),
            blueprint=blueprint,
            max_parameters=max_parameters,
            max_latency_us=max_latency_us,
            max_bytes=max_bytes,
            tags=read_tags(tag),
        )
    except ValidationError as problem:
        raise ConfigError(f"the search cannot be made: {first_problem(problem)}") from None
    with library(urza) as client:
        found = core.collect(partial(client.kernels, query, sort=sort), limit)
    print_each(found, print_kernel, as_json=as_json)


def _resolve(client: urza_client.UrzaClient, reference: str) -> str:
    """The id that a reference stands for: an id itself, or an alias."""
    if "@" in reference:
        return client.alias(reference).kernel_id
    if artifact_check.is_kernel_id(reference):
        return reference
    raise ConfigError(
        f"{reference!r} is neither a kernel's id (64 of 0-9 a-f) nor an alias like "
        "edge-conv@production; `esper kernel search` prints ids"
    )


def _fetched(client: urza_client.UrzaClient, kernel_id: str) -> bytes:
    """A kernel's bytes, after every check that loading does."""
    data = client.fetch(kernel_id)
    origin = f"kernel {kernel_id} of {client.config.url}"
    artifact_check.check_file(data, expected_id=kernel_id, origin=origin)
    return data


def _why(record: KernelRecord) -> str:
    report = record.report
    return (
        report.reason if report is not None and not report.passed else "the audit log says by whom"
    )


def _point(client: urza_client.UrzaClient, kernel_id: str, name: str, revision: int | None) -> None:
    before = None
    if revision is None:
        try:
            now = client.alias(name)
        except LibraryNotFoundError:
            revision = 0
        else:
            revision, before = now.revision, now.kernel_id
    alias = client.set_alias(name, kernel_id, revision=revision or None)
    was = "" if before is None else f" (was {before})"
    point = f" → {alias.kernel_id}, revision {alias.revision}"
    say(output(), (alias.name, "name"), point, (was, "quiet"))


def _origins(found: Lineage) -> list[tuple[str, str]]:
    """What is known about a kernel's origin and fate, each with what it is."""
    lines = []
    if found.blueprint is not None:
        blueprint = found.blueprint.blueprint
        lines.append(("blueprint", f"{blueprint.blueprint_id}: {blueprint_facts(blueprint)}"))
    if found.kernel.report is not None:
        lines.append(("proof", _proof(found.kernel.report)))
    lines += [("sibling", sibling) for sibling in found.siblings]
    lines += [
        ("alias", f"{alias.name}, revision {alias.revision}, {alias.updated_at:%F %R}")
        for alias in found.aliases
    ]
    return lines + [("run", _outcome(outcome)) for outcome in found.outcomes]


def _proof(report: ValidationReport) -> str:
    passed = sum(check.passed for check in report.checks)
    tools = f"torch {report.toolchain.torch} on {report.toolchain.device}"
    verdict = "passed" if report.passed else f"failed: {report.reason}"
    return f"{verdict}, {passed} of {len(report.checks)} checks, {report.seconds:.1f} s, {tools}"


def _outcome(outcome: KernelOutcome) -> str:
    report = outcome.report
    gain = ""
    if report.gain is not None:
        gain = f", gain {wording.loss(report.gain)}"
        if report.ci_low is not None and report.ci_high is not None:
            gain += f" [{wording.loss(report.ci_low)}, {wording.loss(report.ci_high)}]"
    where = f"{report.layer_name or 'model'}, step {wording.count(report.step)}"
    return f"{outcome.run_id}: {report.outcome.value} in {where}{gain}"


def _spelt(text: str | None, option: str) -> str | None:
    """A shape as the library spells it: `3,32,32`, `*` for an axis of any size."""
    if text is None:
        return None
    return ",".join("*" if size is None else str(size) for size in parse_shape(text, option))
