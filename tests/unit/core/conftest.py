from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.kernel_store import LocalKernelStore
from unit.core.morphable import make_net


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 6)


@pytest.fixture
def store(tmp_path: Path) -> LocalKernelStore:
    return LocalKernelStore(tmp_path / "kernels")


@pytest.fixture
def model(x: torch.Tensor, store: LocalKernelStore) -> MorphableModel:
    return wrap(make_net(), example_input=x, kernel_source=store)
