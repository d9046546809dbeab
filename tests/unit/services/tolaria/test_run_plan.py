from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.services.tolaria.factories import load_data
from esper.services.tolaria.run_plan import make_plan

Make = Callable[..., Any]


def test_recipe_fills_in_what_the_settings_leave_open(make: Make) -> None:
    config = make(steps=None, eval_every=None)
    plan = make_plan(config, load_data(config), 410)
    assert (plan.steps, plan.batch_size, plan.learning_rate) == (1000, 32, 1e-3)
    assert plan.eval_every == 50


def test_epochs_become_steps(make: Make) -> None:
    config = make(steps=None, epochs=3, batch_size=100)
    assert make_plan(config, load_data(config), 410).steps == 12


def test_batch_that_is_larger_than_the_data_is_refused(make: Make) -> None:
    config = make(batch_size=500)
    with pytest.raises(ConfigError, match="batch_size 500 is larger"):
        make_plan(config, load_data(config), 410)


def test_batch_that_cannot_be_cut_is_refused(make: Make) -> None:
    config = make(batch_size=10, accumulation=3)
    with pytest.raises(ConfigError, match="cannot be cut into accumulation=3"):
        make_plan(config, load_data(config), 410)
