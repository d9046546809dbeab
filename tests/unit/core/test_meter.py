"""How many samples a step was trained on is read off the passes, whatever the batch looks like."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from esper.core.meter import Meter
from esper.core.model_wrapper import wrap


def metered() -> tuple[nn.Module, Meter]:
    model = wrap(nn.Linear(3, 2))
    model.meter = Meter()
    return model, model.meter


@pytest.mark.parametrize(("passes", "samples"), [((8,), 8), ((8, 8, 8), 24), ((8, 8, 5), 21)])
def test_every_pass_of_a_step_counts(passes: tuple[int, ...], samples: int) -> None:
    model, meter = metered()
    for rows in passes:
        model(torch.zeros(rows, 3))
    shown = torch.zeros(passes[-1], 3)
    assert meter.take(shown, len(shown)) == samples
    assert meter.take(shown, len(shown)) == len(shown)  # nothing is counted twice


def test_the_whole_batch_may_be_shown_after_its_pieces() -> None:
    model, meter = metered()
    batch = torch.zeros(12, 3)
    for piece in batch.chunk(4):
        model(piece)
    assert meter.take(batch, 12) == 12


def test_what_does_not_train_does_not_count() -> None:
    model, meter = metered()
    x = torch.zeros(4, 3)
    with torch.no_grad():
        model(x)
    model.eval()
    model(x)
    copy.deepcopy(model).train()(x)
    model.train()
    model(x)
    assert meter.take(x, 4) == 4


def test_samples_are_found_on_the_axis_that_counts_them_and_in_any_structure() -> None:
    meter = Meter()
    steps_first = torch.zeros(7, 5, 3)
    for _ in range(2):
        meter.note((), {"mask": None, "inputs": [{"x": steps_first}]})
    assert meter.take({"inputs": [{"x": steps_first}]}, 5) == 10


def test_what_cannot_be_told_counts_as_the_batch_that_was_shown() -> None:
    meter = Meter()
    assert meter.take("no tensor", 4) == 4
    meter.note((torch.zeros(9, 3),), {})
    assert meter.take(torch.zeros(6, 3), 2) == 2  # no axis of that size
    meter.note(("no tensor",), {})
    assert meter.take(torch.zeros(4, 3), 4) == 4
