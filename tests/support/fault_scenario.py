"""A user's life with a library, told step by step, for tests that kill it in between.

`live` does one thing of each kind, in rounds. Every step can be repeated after a crash, and is
told through `say` as soon as it was acknowledged: what was told must never be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from esper.contracts.enums import BlueprintState, KernelStatus, Role
from esper.contracts.errors import LibraryNotFoundError
from esper.contracts.library import KernelRegistration, Lease, Signature, TokenRequest
from esper.contracts.lifecycle import KernelEvent
from esper.services.urza.kernel_library import Library
from support.stored import blueprint, id_of, kernel_file, kernel_of, outcome, report, upload

Say = Callable[..., None]

WORKING = {BlueprintState.UNVALIDATED, BlueprintState.COMPILING}
SHORT_LEASE = 0.3
RENEWED_LEASE = 1.0


async def live(library: Library, say: Say, rounds: int = 2) -> None:
    """Do everything that a library can do, so many times."""
    for number in range(rounds):
        for kind in ("good", "bad"):
            await library.blueprints.submit("trainer", blueprint(f"{kind}-{number}"))
            say("blueprint", f"{kind}-{number}")
        await forge(library, say)
        await _kernels(library, say, number)
        await _access(library, say, number)
        await _garbage(library, say, number)


async def forge(library: Library, say: Say, worker: str = "worker") -> None:
    """Build until nothing waits any more, also what dead workers had."""
    while True:
        lease = await library.leases.grant("forge", worker, SHORT_LEASE)
        if lease is not None:
            await build(library, lease, say)
            continue
        records = (await library.blueprints.search(limit=1000)).items
        if not any(record.blueprint.state in WORKING for record in records):
            return
        await asyncio.sleep(0.05)


async def build(library: Library, lease: Lease, say: Say, seed: int | None = None) -> None:
    """Do what a worker does with a lease."""
    blueprint_id = lease.blueprint.blueprint_id
    say("lease", blueprint_id, token=lease.token)
    await library.leases.renew("forge", blueprint_id, lease.token, RENEWED_LEASE)
    if blueprint_id.startswith("bad"):
        await library.leases.fail("forge", blueprint_id, lease.token, "bad", None, retry=False)
        say("invalid", blueprint_id)
        return
    data = kernel_file(int(blueprint_id.split("-")[1]) if seed is None else seed)
    registration = KernelRegistration(kernel_id=await upload(library, data))
    say("blob", id_of(data))
    await library.leases.complete("forge", blueprint_id, lease.token, registration, report(1.0))
    say("complete", blueprint_id, kernel=id_of(data))


async def _kernels(library: Library, say: Say, number: int) -> None:
    data = kernel_file(100 + number)
    kernel_id = await upload(library, data)
    say("blob", kernel_id)
    await library.kernels.register("trainer", KernelRegistration(kernel_id=kernel_id))
    say("kernel", kernel_id)
    signature = Signature(key_id="0123456789abcdef", value="0" * 128)
    await library.kernels.sign("promoter", kernel_id, signature)
    say("signed", kernel_id)
    record = await kernel_of(library, kernel_id)
    if record.status is KernelStatus.CANDIDATE:
        await library.kernels.move("promoter", kernel_id, KernelEvent.VALIDATE, record.revision)
    say("validated", kernel_id)
    await library.outcomes.add("trainer", outcome(kernel_id, f"report-{number}", 0.5))
    say("outcome", f"report-{number}", kernel=kernel_id)
    await _point(library, say, "conv@production", kernel_id)
    gone = await _point(library, say, "gone@staging", kernel_id)
    await library.aliases.delete("promoter", "gone@staging", gone)
    say("alias", "gone@staging", kernel=None, revision=gone + 1)


async def _point(library: Library, say: Say, name: str, kernel_id: str) -> int:
    try:
        revision: int | None = (await library.aliases.get(name)).revision
    except LibraryNotFoundError:
        revision = None
    alias = await library.aliases.put("promoter", name, kernel_id, revision)
    say("alias", name, kernel=kernel_id, revision=alias.revision)
    return alias.revision


async def _access(library: Library, say: Say, number: int) -> None:
    request = TokenRequest(name="test", roles=(Role.READER,))
    kept, taken = [await library.tokens.issue("admin", request) for _ in range(2)]
    say("token", kept.secret)
    await library.tokens.revoke("admin", taken.record.token_id)
    say("revoked", taken.secret)
    answer = Response(b"{}", 201)
    await library.idempotency.remember(f"key-{number}", "route", "bob", "0" * 64, answer)
    say("answer", f"key-{number}")


async def _garbage(library: Library, say: Say, number: int) -> None:
    data = b"loose %d" % number
    say("uploading", id_of(data))
    loose = await upload(library, data)
    say("blob", loose)
    say("collecting", "all that is loose")
    await library.garbage.collect("admin", 0.0)
    say("collected", loose)


def quiet(*_what: Any, **_fields: Any) -> None:
    """Tell nobody."""
