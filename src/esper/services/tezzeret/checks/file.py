"""File: the kernel survives being written and read, and is then the same."""

from __future__ import annotations

import torch

from esper.execution.artifact import pack, unpack
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

CREATED_BY = "tezzeret"
"""The same for every forge: equal blueprints give equal files."""


def written(subject: Subject) -> bytes:
    """Return the newborn kernel as a file that passed every check of loading.

    Raises:
        ArtifactError: A check refused it.
        CheckFailedError: What is read from it is another kernel.
    """
    kernel = subject.fresh()
    data = pack(
        kernel,
        subject.ir,
        subject.blueprint.mode,
        blueprint=subject.blueprint.name,
        created_by=CREATED_BY,
    )
    read, x = unpack(data).build(), subject.sample()
    with torch.no_grad():
        if not torch.equal(read.eval()(x), kernel.eval()(x)):
            raise CheckFailedError("the kernel that is read from its own file returns other values")
    return data
