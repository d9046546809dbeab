from __future__ import annotations

import random

import numpy as np
import torch

from esper.core.random_state import random_state, set_random_state


def drawn() -> list[float]:
    # A normal number leaves a second one behind in Python's and numpy's generators.
    return [
        random.gauss(0, 1),
        random.random(),
        float(np.random.normal()),  # noqa: NPY002 the global generator is what is kept
        float(np.random.random()),  # noqa: NPY002
        float(torch.rand(())),
    ]


def test_every_generator_goes_on_where_it_was() -> None:
    drawn()
    state = random_state()
    first = drawn()
    assert drawn() != first
    set_random_state(state)
    assert drawn() == first


def test_a_state_is_made_of_tensors_and_primitives() -> None:
    state = random_state()
    torch.save(state, "/dev/null")
    assert isinstance(state["torch"], torch.Tensor)
    assert all(isinstance(word, int) for word in state["python"][1])
    assert all(isinstance(word, int) for word in state["numpy"][1])


def test_states_of_devices_that_are_not_here_are_passed_over() -> None:
    here = torch.cuda.device_count()
    state = {**random_state(), "cuda": [*random_state()["cuda"], torch.zeros(16)]}
    set_random_state({**state, "cuda": state["cuda"][: here + 1]})
