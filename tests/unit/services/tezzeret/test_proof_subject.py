from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.errors import BlueprintError
from esper.services.tezzeret.proof_subject import Subject
from support.forge import blueprint_of, perceptron

Make = Callable[..., Subject]


def test_open_axes_are_tried_at_several_lengths_and_no_two_alike(subject: Make) -> None:
    found = subject(("relu", {}), shape=(3, None, None))
    assert (3, 16, 17) in found.sizes
    assert (3, 1, 2) in found.sizes
    assert subject(("relu", {}), shape=(3, 4)).sizes == ((3, 4),)


def test_a_length_that_the_graph_refuses_is_left_out(subject: Make) -> None:
    conv = ("conv1d", {"out_channels": 2, "kernel_size": 5})
    assert [size[1] for size in subject(conv, shape=(3, None)).sizes] == [16, 11, 128]
    wide = ("conv1d", {"out_channels": 2, "kernel_size": 120})
    assert subject(wide, shape=(3, None)).sizes == ((3, 128),)


def test_equal_arguments_give_equal_kernels_and_inputs(subject: Make) -> None:
    found = subject(("linear", {"out_features": 3}))
    assert torch.equal(found.sample(4), found.sample(4))
    assert not torch.equal(found.sample(4), found.sample(4, salt=1))
    first, second = found.stirred().state_dict(), found.stirred().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_ids_lie_in_the_vocabulary_and_reach_both_its_ends(subject: Make) -> None:
    found = subject(
        ("embedding", {"num_embeddings": 9, "embedding_dim": 4}), shape=(6,), dtype="int64"
    )
    ids = found.sample()
    assert ids.dtype == torch.int64
    assert (ids.min(), ids.max()) == (0, 8)


def test_dropout_inside_a_recurrent_net_counts_as_drawing(subject: Make) -> None:
    gru = {"hidden_size": 4, "num_layers": 2, "dropout": 0.5}
    assert subject(("gru", gru), shape=(5, 3)).draws
    assert not subject(("gru", {"hidden_size": 4}), shape=(5, 3)).draws
    assert subject(("dropout", {"p": 0.5})).draws
    assert subject(("batch_norm1d", {})).mixes_samples


def test_a_graph_with_another_input_is_no_kernels() -> None:
    good = perceptron()
    nodes = (Node("relu", "relu", ("z",)),)
    bad = GraphIR({"z": TensorSpec((8,))}, nodes, {"y": "relu"})
    blueprint = blueprint_of(good).model_copy(update={"architecture": bad.to_dict()})
    with pytest.raises(BlueprintError, match="one input 'x'"):
        Subject.of(blueprint, seed=0)
