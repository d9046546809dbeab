from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.geometry import Geometry, trace
from esper.contracts.enums import Layout
from esper.contracts.errors import GeometryError


def traced(model: nn.Module, example: Any, **keywords: Any) -> dict[str, Geometry]:
    return trace(model, example, dict(model.named_modules()), **keywords)


class Through(nn.Module):
    """Runs a function of the input, then a linear layer."""

    def __init__(self, function: Any, features: int) -> None:
        super().__init__()
        self.function, self.layer = function, nn.Linear(features, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.function(x))


@pytest.mark.parametrize(
    ("function", "shape", "source", "order"),
    [
        (lambda x: x.flatten(1), (1, 28, 28), (1, 28, 28), (0, 1, 2)),
        (lambda x: x.view(x.shape[0], -1), (3, 8, 10), (3, 8, 10), (0, 1, 2)),
        (lambda x: torch.reshape(x, (len(x), -1)), (3, 8, 10), (3, 8, 10), (0, 1, 2)),
        (lambda x: x.permute(0, 2, 3, 1).flatten(1), (3, 8, 10), (3, 8, 10), (1, 2, 0)),
        (lambda x: x.transpose(1, 3).flatten(1), (3, 8, 10), (3, 8, 10), (2, 1, 0)),
        (lambda x: x.unsqueeze(1).squeeze(1).flatten(1), (3, 8, 10), (3, 8, 10), (0, 1, 2)),
        (lambda x: ((x - 0.1) / 0.3).flatten(1).relu(), (1, 8, 8), (1, 8, 8), (0, 1, 2)),
        (lambda x: x.flatten(1), (8, 10, 3), (3, 8, 10), (1, 2, 0)),
        (lambda x: x.flatten(1), (8, 8), (1, 8, 8), (0, 1, 2)),
        (lambda x: x.flatten(1), (2, 20), (2, 20), (0, 1)),
        (lambda x: x.transpose(1, 2).flatten(1), (2, 20), (2, 20), (1, 0)),
        (lambda x: x.flip(1).flatten(1), (2, 20), (2, 20), (0, 1)),
        (lambda x: x.flatten(1)[:, torch.arange(39, -1, -1)], (2, 20), None, None),
        (lambda x: x, (20,), None, None),
    ],
)
def test_a_flat_input_tells_what_it_was(
    function: Any, shape: tuple[int, ...], source: Any, order: Any
) -> None:
    model = Through(function, torch.Size(shape).numel())
    geometry = traced(model, torch.randn(5, *shape))["layer"]
    assert geometry.layout is Layout.FLAT
    assert geometry.source_shape == source
    assert geometry.source_permutation == order


@pytest.mark.parametrize("shape", [(3, 8, 10), (8, 10, 3), (2, 20), (8, 8)])
def test_a_source_says_how_to_get_the_flat_values_back(shape: tuple[int, ...]) -> None:
    captured: list[torch.Tensor] = []
    model = Through(lambda x: x.transpose(1, 2).flatten(1), torch.Size(shape).numel())
    model.layer.register_forward_pre_hook(lambda _, args: captured.append(args[0]))
    x = torch.randn(2, *shape)
    geometry = traced(model, x)["layer"]
    captured.clear()
    model(x)
    source, order = geometry.source_shape, geometry.source_permutation
    assert source is not None
    assert order is not None
    split = captured[0].reshape(2, *(source[axis] for axis in order))
    image = split.permute(0, *(1 + order.index(axis) for axis in range(len(source))))
    assert sorted(image.shape[1:]) == sorted(source)
    back = image.permute(0, *(1 + axis for axis in order)).flatten(1)
    assert torch.equal(back, captured[0])
    if shape == (3, 8, 10):
        assert torch.equal(image, x)
    if shape == (8, 10, 3):
        assert torch.equal(image, x.permute(0, 3, 1, 2))


def test_an_input_layer_reads_the_input_and_a_hidden_layer_does_not() -> None:
    model = nn.Sequential(nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 3))
    found = traced(model, torch.randn(4, 40))
    assert found["0"].reads_input is True
    assert found["2"].reads_input is False
    assert found["2"].input_shape == (20,)
    assert found["2"].output_shape == (3,)
    assert found["0"].host_attributes == {"in_features": 40, "out_features": 20, "bias": True}


def test_convolutions_and_what_follows_them() -> None:
    model = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 8, 3, padding=1),
            norm=nn.BatchNorm2d(8),
            act=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            group=nn.GroupNorm(2, 8),
            flat=nn.Flatten(),
            head=nn.Linear(8 * 4 * 5, 4),
        )
    )
    found = traced(model, torch.randn(3, 3, 8, 10))
    assert set(found) == {"conv", "norm", "group", "head"}
    assert found["conv"].layout is Layout.CHANNELS_2D
    assert (found["conv"].input_shape, found["conv"].output_shape) == ((3, 8, 10), (8, 8, 10))
    assert found["head"].source_shape == (8, 4, 5)
    assert found["head"].reads_input is False
    assert not any(geometry.causal for geometry in found.values())


def test_a_1d_convolutional_net_with_pooling_takes_any_length() -> None:
    model = nn.Sequential(
        nn.Conv1d(2, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    found = traced(model, torch.randn(3, 2, 20))
    assert found["0"].layout is Layout.CHANNELS_1D
    assert found["0"].input_shape == (2, None)
    assert found["0"].example_shape == (2, 20)
    assert found["4"].source_shape is None


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_transformer_encoder_has_its_batch_and_sequence_axes_found(
    batch_first: bool, batch: int
) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    example = torch.randn(batch, 5, 8) if batch_first else torch.randn(5, batch, 8)
    found = traced(model, example)
    assert len(found) == 10
    for geometry in found.values():
        assert geometry.layout is Layout.TOKENS
        assert geometry.input_shape[0] is None
        assert geometry.example_shape is not None
        assert geometry.example_shape[0] == 5
        assert geometry.batch_axis == (0 if batch_first else 1)
        assert not geometry.causal
    assert found["layers.0.linear1"].output_shape == (None, 16)
    assert found["layers.0.self_attn"].host_attributes["self_attention"] is True


def test_a_sequence_first_encoder_in_a_batch_first_model() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(11, 8)
            self.inner = nn.TransformerEncoderLayer(8, 2, 16)
            self.head = nn.Linear(8, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.inner(self.embed(ids).transpose(0, 1)).mean(0))

    found = traced(Model(), torch.randint(0, 11, (4, 6)))
    assert found["embed"].layout is Layout.IDS
    assert found["embed"].vocabulary == 11
    assert (found["embed"].input_shape, found["embed"].output_shape) == ((None,), (None, 8))
    assert found["embed"].batch_axis == 0
    assert found["inner.linear1"].batch_axis == 1
    assert found["head"].layout is Layout.FLAT


class Decoder(nn.Module):
    """A small causal language model with learned positions."""

    def __init__(self, *, last_only: bool = False) -> None:
        super().__init__()
        self.last_only = last_only
        self.embed, self.place = nn.Embedding(11, 8), nn.Embedding(16, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 13)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.embed(ids) + self.place(torch.arange(length))
        hidden = self.block(hidden, src_mask=mask, is_causal=True)
        return self.head(hidden[:, -1] if self.last_only else hidden)


def test_a_causal_decoder_is_found_by_changing_the_last_position() -> None:
    found = traced(Decoder(), torch.randint(0, 11, (4, 9)))
    assert all(geometry.causal for geometry in found.values())
    assert "place" not in found, "its input has no batch axis"
    assert found["block.self_attn"].input_shape == (None, 8)


def test_a_causal_decoder_that_returns_its_last_position_only_is_causal_still() -> None:
    found = traced(Decoder(last_only=True), torch.randint(0, 11, (4, 9)))
    assert found["block.self_attn"].causal
    assert found["block.linear1"].causal


def test_an_encoder_decoder_bars_looking_ahead_in_the_decoder_only() -> None:
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    example = {"src": torch.randn(3, 5, 8), "tgt": torch.randn(3, 6, 8), "tgt_mask": mask}
    found = traced(model, example)
    assert not found["encoder.layers.0.linear1"].causal
    assert found["decoder.layers.0.linear1"].causal
    assert found["decoder.layers.0.self_attn"].causal
    assert found["decoder.layers.0.multihead_attn"].host_attributes["self_attention"] is False
    assert found["decoder.layers.0.self_attn"].host_attributes["self_attention"] is True


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_nets_have_their_axes_found(kind: Any, batch_first: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(4, 6, batch_first=batch_first, bidirectional=True)
            self.head = nn.Linear(12, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, _ = self.layer(x)
            return self.head(out[:, -1] if batch_first else out[-1])

    example = torch.randn(3, 7, 4) if batch_first else torch.randn(7, 3, 4)
    found = traced(Model(), example)
    assert found["layer"].host == kind.__name__.lower()
    assert found["layer"].input_shape == (None, 4)
    assert found["layer"].output_shape == (None, 12)
    assert found["layer"].batch_axis == (0 if batch_first else 1)
    assert not found["layer"].causal
    assert found["head"].layout is Layout.FLAT


def test_arguments_may_come_as_a_tuple_or_by_keyword() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 3), nn.Linear(6, 3)

        def forward(self, a: torch.Tensor, b: torch.Tensor, scale: float = 1.0) -> Any:
            return {"sum": self.left(a) + self.right(b) * scale}

    a, b = torch.randn(5, 4), torch.randn(5, 6)
    by_place = traced(Two(), (a, b))
    by_name = traced(Two(), {"b": b, "a": a, "scale": 2.0})
    assert by_place == by_name
    assert by_place["right"].input_shape == (6,)


def test_tracing_leaves_the_model_and_the_random_state_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[2].eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    traced(model, torch.randn(4, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(before, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
    assert torch.backends.mha.get_fastpath_enabled()
    for module in model.modules():
        assert not module._forward_hooks
        assert all(parameter.grad is None for parameter in module.parameters())


def test_buffers_that_a_forward_changes_in_evaluation_mode_are_put_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.layer(x)

    model = Counting()
    traced(model, torch.randn(2, 3))
    assert model.calls == 0


def test_an_example_that_the_model_refuses_names_the_failure_and_the_shape() -> None:
    model = nn.Sequential(nn.Linear(6, 2))
    with pytest.raises(GeometryError, match=r"\(2, 5\).*RuntimeError"):
        traced(model, torch.randn(2, 5))
    assert model.training
    with pytest.raises(GeometryError, match="str without tensors"):
        traced(model, "x")


def test_layers_that_are_not_called_are_left_out() -> None:
    model = Through(lambda x: x, 3)
    model.unused = nn.Linear(2, 2)
    assert set(traced(model, torch.randn(2, 3))) == {"layer"}


def test_a_batch_axis_can_be_given() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    found = traced(model, torch.randn(5, 2, 4), batch_axis=1)
    assert found["0"].batch_axis == 1
    assert found["0"].input_shape == (None, 4)
