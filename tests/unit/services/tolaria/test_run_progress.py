from __future__ import annotations

import math

import torch

from esper.contracts.growth import CurvePoint
from esper.services.tolaria.run_progress import EarlyStop, LossMean, Progress


def test_mean_is_read_once_and_begins_anew() -> None:
    mean = LossMean()
    for value in (1.0, 2.0, 6.0):
        mean.add(torch.tensor(value))
    assert mean.read() == 3.0
    assert math.isnan(mean.read())


def test_progress_comes_back_from_its_state() -> None:
    point = CurvePoint(step=5, train_loss=1.0, growth_loss=None, growth_metric=0.5)
    progress = Progress(step=7, early_stop=EarlyStop(best=0.5, since=2), seconds=1.5)
    progress.curve.append(point)
    progress.logged.add(torch.tensor(0.1))
    again = Progress.from_state(progress.state_dict())
    progress.logged.add(torch.tensor(0.3))
    assert again.logged.count == 1
    again.logged.add(torch.tensor(0.3))
    assert again.logged.read() == progress.logged.read()
    assert again.curve == [point]
    assert (again.step, again.early_stop, again.seconds) == (7, progress.early_stop, 1.5)
