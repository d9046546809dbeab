"""wrap finds the layers, converts them without changing the model, and refuses in plain words."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from esper.contracts.errors import ConfigError, LayerNotFoundError, UnsupportedLayerError
from esper.core.model_wrapper import unwrap, wrap
from esper.execution.kasmina_layer import layers_of


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.conv = nn.Conv1d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.encoder(self.embed(ids))
        return self.head(self.conv(hidden.transpose(1, 2)).transpose(1, 2))


IDS = torch.randint(0, 7, (2, 5))


def kinds(model: nn.Module) -> list[type]:
    return [type(module) for module in model.modules()]


def test_the_given_model_is_not_modified() -> None:
    net = Tied()
    before, weights = kinds(net), copy.deepcopy(net.state_dict())
    model = wrap(net, example_input=IDS)
    assert kinds(net) == before
    assert model.original_model is net
    assert model.wrapped_model is not net
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())


def test_in_place_the_same_objects_are_converted() -> None:
    net = Tied()
    parameters = list(net.parameters())
    model = wrap(net, inplace=True)
    assert model.wrapped_model is net
    assert model.original_model is None
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert layers_of(net.head) == [model.layer("head")]
    assert unwrap(model) is net
    assert type(net.head) is nn.Linear


def test_tied_weights_stay_tied() -> None:
    model = wrap(Tied())
    assert model.head.weight is model.embed.weight
    assert len(list(model.parameters())) == len(list(Tied().parameters()))


def test_linear_layers_are_the_default_and_an_example_adds_convolutions() -> None:
    linear = ["encoder.linear1", "encoder.linear2", "head"]
    assert wrap(Tied()).get_layer_names() == linear
    traced = wrap(Tied(), example_input=IDS)
    assert sorted(traced.get_layer_names()) == sorted([*linear, "conv"])
    assert traced.layer("conv").geometry is not None


def test_targets_may_be_types_and_names_and_a_filter_has_the_last_word() -> None:
    model = wrap(Tied(), [nn.Conv1d, "embed", "encoder.self_attn"])
    assert model.get_layer_names() == ["embed", "encoder.self_attn", "conv"]
    model = wrap(Tied(), filter_fn=lambda module, name: name.startswith("encoder"))
    assert model.get_layer_names() == ["encoder.linear1", "encoder.linear2"]


def test_an_unsupported_type_lists_what_is_supported_and_document_000_falls_back() -> None:
    with pytest.raises(NotImplementedError, match=r"Transformer cannot host.*Conv2d.*Linear"):
        wrap(Tied(), target_layers=[nn.Transformer])
    with pytest.raises(UnsupportedLayerError, match=r"register_host"):
        wrap(Tied(), target_layers=["encoder"])
    assert wrap(Tied(), target_layers=[nn.Linear]).get_layer_names()


def test_a_layer_whose_weights_are_read_past_it_is_left_alone_or_refused_by_name() -> None:
    assert "encoder.self_attn.out_proj" not in wrap(Tied(), [nn.Linear]).get_layer_names()
    with pytest.raises(UnsupportedLayerError, match=r"reads out_proj\.weight itself"):
        wrap(Tied(), ["encoder.self_attn.out_proj"])


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(
        LayerNotFoundError, match=r"'encoder.linear3'.*Did you mean 'encoder.linear"
    ):
        wrap(Tied(), ["encoder.linear3"])


def test_nothing_to_wrap_says_what_there_would_be() -> None:
    with pytest.raises(LayerNotFoundError, match=r"no layer of Linear.*layers of Conv1d"):
        wrap(nn.Sequential(nn.Conv1d(1, 1, 1)))
    with pytest.raises(LayerNotFoundError, match=r"that filter_fn lets through"):
        wrap(Tied(), filter_fn=lambda module, name: False)


def test_settings_out_of_range_are_refused_and_the_model_is_handed_back() -> None:
    net = Tied()
    before = kinds(net)
    with pytest.raises(ConfigError, match=r"num_seeds.*is 0"):
        wrap(net, seeds_per_layer=0, inplace=True)
    with pytest.raises(ConfigError, match=r"cache_size_mb is 0"):
        wrap(net, cache_size_mb=0, inplace=True)
    lazy = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3))
    lazy_before = kinds(lazy)
    with pytest.raises(UnsupportedLayerError, match=r"lazy"):
        wrap(lazy, inplace=True)
    assert kinds(net) == before
    assert kinds(lazy) == lazy_before
    with pytest.raises(ConfigError, match=r"MorphableModel already"):
        wrap(wrap(net))


def test_a_layer_can_be_the_whole_model() -> None:
    x = torch.randn(3, 4)
    net = nn.Linear(4, 2)
    model = wrap(net, example_input=x)
    assert model.get_layer_names() == [""]
    assert torch.equal(model(x), net(x))


def test_unwrap_gives_the_original_or_the_trained_plain_model() -> None:
    net = Tied()
    assert unwrap(wrap(net)) is net
    model = wrap(net, preserve_original=False)
    plain = unwrap(model)
    assert plain is model.wrapped_model
    assert kinds(plain) == kinds(net)
    assert model.get_layer_names() == []
