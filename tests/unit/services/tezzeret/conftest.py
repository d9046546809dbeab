from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode
from esper.execution.kernel_compile import share_compile_cache
from esper.services.tezzeret.build_job import Builder
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.proof_subject import Subject
from esper.utils.clock import SystemClock
from support import forge_children
from support.forge import blueprint_of, perceptron


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets builds be made, in a cache of their own; the environment is put back afterwards."""
    before = dict(os.environ)
    share_compile_cache(tmp_path_factory.mktemp("compiled"))
    # What builds are forked from has torch and its compiler loaded from now on.
    build = Builder(TezzeretConfig(), SystemClock())
    build(blueprint_of(perceptron()), child=forge_children.leave_nothing)
    yield
    os.environ.clear()
    os.environ.update(before)


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
