from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext

import pytest

from esper.services.tezzeret.build_job import prepare
from esper.services.tezzeret.forge_config import TezzeretConfig


@pytest.fixture(scope="session")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServerContext]:
    """A server that builds are forked from; the environment is put back afterwards."""
    before = dict(os.environ)
    yield prepare(TezzeretConfig(compile_cache=tmp_path_factory.mktemp("compiled")))
    os.environ.clear()
    os.environ.update(before)
