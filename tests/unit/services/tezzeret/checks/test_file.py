from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.artifact import unpack
from esper.services.tezzeret.checks.file import written
from esper.services.tezzeret.checks.subject import Subject

Make = Callable[..., Subject]
LINEAR = ("linear", {"out_features": 6})


class Other(Subject):
    @override
    def fresh(self) -> nn.Module:
        return nn.Linear(8, 6)


def test_equal_blueprints_give_equal_files_that_name_no_worker(subject: Make) -> None:
    data = written(subject(LINEAR))
    assert data == written(subject(LINEAR))
    assert unpack(data).metadata.created_by == "tezzeret"


def test_a_module_of_another_graph_is_not_written(subject: Make) -> None:
    good = subject(LINEAR)
    with pytest.raises(KernelMismatchError):
        written(Other(blueprint=good.blueprint, ir=good.ir, seed=0))
