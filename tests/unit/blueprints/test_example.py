from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from esper.blueprints.example import Example, tensors_in
from esper.contracts.errors import GeometryError

X = torch.arange(24.0).reshape(4, 3, 2)
IDS = torch.tensor([[1, 5, 5], [2, 5, 1], [1, 1, 2], [5, 2, 1]])


def test_an_example_is_a_tensor_arguments_or_keywords() -> None:
    assert Example.of(X).args == (X,)
    assert Example.of([X, 3]).args == (X, 3)
    assert Example.of({"x": X}).kwargs == {"x": X}


@pytest.mark.parametrize("nothing", [3, (), {}, ["x"], None])
def test_an_example_without_tensors_is_refused(nothing: object) -> None:
    with pytest.raises(GeometryError, match="without tensors; pass a tensor"):
        Example.of(nothing)


def test_tensors_with_the_first_ones_size_are_batched() -> None:
    example = Example(
        (X, torch.zeros(3, 3)), {"ids": IDS, "scale": torch.tensor(2.0), "flag": True}
    )
    assert list(example.tensors()) == [0, 1, "ids", "scale"]
    assert list(example.batched(0)) == [0, "ids"]
    assert list(example.batched(1)) == [0, 1, "ids"]
    assert not example.has_axis(3)
    assert str(Example((X,), {"ids": IDS})) == "0: (4, 3, 2), ids: (4, 3)"


def test_samples_are_taken_and_doubled_along_the_batch_and_nothing_else_is() -> None:
    other = torch.zeros(3)
    example = Example((X, other), {})
    assert torch.equal(example.first_samples(0).args[0], X[:2])
    assert torch.equal(example.repeated(0).args[0], torch.cat([X, X]))
    assert torch.equal(example.first_samples(1).args[0], X[:, :2])
    assert example.repeated(0).args[1] is other


def test_a_change_at_an_index_is_there_and_nowhere_else() -> None:
    changed = Example((X,), {"ids": IDS, "mask": IDS}).changed_at(0, 1)
    differs = changed.args[0] != X
    assert differs[1].all()
    assert not differs[[0, 2, 3]].any()
    ids = changed.kwargs["ids"]
    assert (ids[1] != IDS[1]).all()
    assert torch.equal(ids[[0, 2, 3]], IDS[[0, 2, 3]])
    assert set(ids.flatten().tolist()) <= {1, 2, 5}, "integers stay among those seen"
    assert changed.kwargs["mask"] is IDS, "a mask holds no values"
    assert X[1, 0, 0] == 6.0, "the example itself is as it was"


def test_a_constant_of_integers_changes_to_a_neighbour() -> None:
    assert Example.of(torch.zeros(2, 2, dtype=torch.long)).changed_at(0, 0).args[0][0, 0] == 1
    assert Example.of(torch.full((2, 2), 7)).changed_at(0, 0).args[0][0, 0] == 6


def test_sequences_are_cut_together_with_their_square_masks() -> None:
    mask = torch.zeros(3, 3, dtype=torch.bool)
    example = Example((X[:, :, :1],), {"ids": IDS, "mask": mask})
    cut = list(example.shortened(0))
    shapes = [
        (tuple(e.args[0].shape), tuple(e.kwargs["ids"].shape), tuple(e.kwargs["mask"].shape))
        for e in cut
    ]
    assert shapes == [((4, 1, 1), (4, 1), (1, 1)), ((4, 2, 1), (4, 2), (2, 2))]


def test_pictures_and_vectors_are_no_sequences() -> None:
    for tensor in (torch.zeros(4, 3), torch.zeros(4, 1, 8, 8)):
        assert not list(Example.of(tensor).shortened(0))
        assert not list(Example.of(tensor).changed_at_last_position(0))


def test_the_last_position_of_every_sequence_axis_is_changed_once() -> None:
    found = list(Example.of(X).changed_at_last_position(0))
    assert [length for _, length in found] == [3, 2]
    first, second = (example.args[0] != X for example, _ in found)
    assert first[:, 2].all()
    assert not first[:, :2].any()
    assert second[:, :, 1].all()
    assert not second[:, :, 0].any()


def test_tensors_of_any_nesting_come_in_order() -> None:
    @dataclass
    class Output:
        a: torch.Tensor
        b: list[torch.Tensor]

    one, two, three = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    nested = {"x": (one, None), "y": Output(two, [three]), "z": "no tensor"}
    assert [len(tensor) for tensor in tensors_in(nested)] == [1, 2, 3]
