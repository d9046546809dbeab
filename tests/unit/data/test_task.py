from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from esper.data.task import LOSSES, METRICS, Task, mean_squared_error, sequence_cross_entropy


def test_every_task_has_a_loss_and_a_metric() -> None:
    assert set(LOSSES) == set(METRICS) == set(Task)


def test_sequence_loss_is_the_mean_over_all_positions() -> None:
    logits, target = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    losses = sequence_cross_entropy(logits, target, reduction="none")
    assert losses.shape == (3, 5)
    torch.testing.assert_close(sequence_cross_entropy(logits, target), losses.mean())
    torch.testing.assert_close(
        losses[1], functional.cross_entropy(logits[1], target[1], reduction="none")
    )


def test_bits_are_nats_over_the_logarithm_of_two() -> None:
    logits, target = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    bits = METRICS[Task.LANGUAGE](logits, target)
    torch.testing.assert_close(bits, sequence_cross_entropy(logits, target) / math.log(2))


def test_accuracy_counts_hits() -> None:
    output = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    accuracy = METRICS[Task.CLASSIFICATION]
    assert accuracy.measure(output, torch.tensor([0, 1, 1, 0])).tolist() == [1, 1, 0, 1]
    assert accuracy(output, torch.tensor([0, 1, 1, 0])) == 0.75


@pytest.mark.parametrize("shape", [(4, 1), (4,)])
def test_squared_error_never_broadcasts_answers_against_targets(shape: tuple[int, ...]) -> None:
    output, target = torch.randn(4, 1), torch.randn(shape)
    expected = (output.flatten() - target.flatten()).square()
    torch.testing.assert_close(mean_squared_error(output, target), expected.mean())
    torch.testing.assert_close(METRICS[Task.REGRESSION].measure(output, target), expected)
