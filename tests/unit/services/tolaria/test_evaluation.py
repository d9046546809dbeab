from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from esper.data.task import ACCURACY
from esper.services.tolaria.evaluation import evaluate


def test_figures_do_not_depend_on_the_batch_and_leave_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[2].eval()
    data = torch.randn(103, 3), torch.randint(0, 4, (103,))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    generator = torch.get_rng_state()
    whole = evaluate(model, data, functional.cross_entropy, ACCURACY)
    pieces = evaluate(model, data, functional.cross_entropy, ACCURACY, batch_size=10)
    assert whole.metric == pieces.metric
    assert whole.loss == pytest.approx(pieces.loss, rel=1e-6)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert [m.training for m in model] == [True, True, False]
    model.eval()
    with torch.no_grad():
        expected = (model(data[0]).argmax(1) == data[1]).double().mean()
    assert whole.metric == pytest.approx(float(expected))
