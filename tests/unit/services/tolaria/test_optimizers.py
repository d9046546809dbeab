from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.services.tolaria.optimizers import make_optimizer
from esper.services.tolaria.run_plan import Plan
from esper.services.tolaria.training_config import OptimizerConfig

PLAN = Plan(steps=1, batch_size=1, learning_rate=0.25, weight_decay=0.5, eval_every=1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sgd", torch.optim.SGD),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
    ],
)
def test_optimizer_has_the_numbers_of_the_plan(name: str, kind: type) -> None:
    config = OptimizerConfig(name=name, momentum=0.7, eps=1e-6)  # type: ignore[arg-type]  # a parameter
    optimizer = make_optimizer(nn.Linear(2, 2).parameters(), config, PLAN)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.5)
    assert group.get("momentum", 0.7) == 0.7
    assert group.get("eps", 1e-6) == 1e-6
