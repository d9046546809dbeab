from __future__ import annotations

from esper.cli.commands.train import QUICK_STARTS, complete_quick_start
from esper.data.task_catalog import data_set_names


def test_the_names_in_the_help_are_those_of_the_catalog() -> None:
    assert data_set_names() == QUICK_STARTS


def test_completion_offers_the_names_that_begin_so() -> None:
    assert complete_quick_start("cifar") == ["cifar10", "cifar100"]
    assert complete_quick_start("x") == []
