from __future__ import annotations

from collections.abc import Callable

import pytest

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode
from esper.services.tezzeret.checks.subject import Subject
from support.forge import blueprint_of

Make = Callable[..., Subject]


@pytest.fixture
def subject() -> Make:
    """Makes a subject of a chain of ops, or of a graph."""

    def make(
        *steps: tuple[str, dict[str, object]],
        shape: tuple[int | None, ...] = (8,),
        dtype: str = "float32",
        mode: KernelMode = KernelMode.REPLACING,
        ir: GraphIR | None = None,
    ) -> Subject:
        if ir is None:
            g = GraphBuilder(shape, dtype)
            ir = g.finish(g.chain("x", *steps))
        return Subject.of(blueprint_of(ir, mode=mode), seed=0)

    return make
