"""What is known of the places behind modules, and which ones are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from esper.contracts.enums import Layout
from esper.contracts.errors import UnsupportedLayerError
from esper.contracts.site import Site
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from support.grown_models import Encoder, Recurrent, ResNet


class OwnLoop(nn.Module):
    """A container of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.act = nn.Linear(2, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        for child in self.children():
            x = child(x)
        return x


class Counting(OwnLoop):
    def forward(self, x: Tensor) -> Tensor:
        return self.map(x) / len(self._modules)


def places(net: nn.Module, example: object, *sites: str) -> MorphableModel:
    return wrap(net, list(sites), example_input=example)


def test_a_place_behind_reads_and_returns_what_the_module_returns() -> None:
    model = places(ResNet(), torch.randn(3, 1, 8, 8), "stem+", "blocks.*+", "blocks.0.conv1")
    assert model.get_layer_names() == ["stem+", "blocks.0+", "blocks.0.conv1", "blocks.1+"]
    geometry = model.layer("blocks.0+").geometry
    assert geometry.layout is Layout.CHANNELS_2D
    assert geometry.input_shape == geometry.output_shape == (4, 8, 8)
    assert (geometry.host, geometry.example_shape) == ("behind", (4, 8, 8))


def test_a_sequence_is_told_from_a_line_of_channels_by_the_modules_before() -> None:
    line = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.MaxPool1d(2))
    model = places(line, torch.randn(3, 1, 20), "1+", "2+")
    assert {model.layer(n).geometry.layout for n in ("1+", "2+")} == {Layout.CHANNELS_1D}
    ids = torch.randint(0, 11, (3, 6))
    model = places(Encoder(), ids, "encoder.layers.1+", "embed+")
    for name in model.get_layer_names():
        geometry = model.layer(name).geometry
        assert geometry.layout is Layout.TOKENS
        assert geometry.output_shape == (None, 8)


def test_a_batch_that_is_not_first_is_seen() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.act, self.head = nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act(self.map(x)).mean(0))

    model = places(TimeFirst(), torch.randn(7, 3, 6), "act+")
    assert model.layer("act+").geometry.batch_axis == 1


@pytest.mark.parametrize(
    ("net", "example", "site", "why"),
    [
        (Recurrent(nn.GRU), torch.randn(7, 3, 6), "rnn+", "did not return one tensor"),
        (ResNet(), torch.randn(3, 1, 8, 8), "blocks+", r"'blocks' .* such as 'blocks.1\+'"),
        (nn.Sequential(nn.Linear(2, 2)), torch.randn(3, 2), "+", r"Sequential.* such as '0\+'"),
        (nn.Sequential(OwnLoop()), torch.randn(3, 2), "0+", "OwnLoop: it runs whatever children"),
        (nn.Sequential(Counting()), torch.randn(3, 2), "0+", "Counting: it runs whatever"),
        (nn.Sequential(nn.Linear(2, 2)), None, "0+", "pass example_input"),
    ],
)
def test_what_kernels_cannot_stand_behind_is_refused_in_words(
    net: nn.Module, example: Tensor | None, site: str, why: str
) -> None:
    kinds = [type(module) for module in net.modules()]
    with pytest.raises(UnsupportedLayerError, match=why):
        wrap(net, [site], example_input=example, inplace=True)
    assert [type(module) for module in net.modules()] == kinds


def test_behind_a_layer_that_maps_one_axis_the_last_axis_is_that_of_features() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(1, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.map(x.permute(0, 2, 3, 1)).mean((1, 2))

    geometry = places(ChannelsLast(), torch.randn(3, 1, 6, 5), "map+").layer("map+").geometry
    assert (geometry.layout, geometry.output_shape) == (Layout.TOKENS, (6, 5, 4))


def test_a_layer_may_have_both_places() -> None:
    model = places(nn.Sequential(nn.Linear(6, 4), nn.ReLU()), torch.randn(3, 6), "0", "0+")
    inside, behind = model.layer("0"), model.layer("0+")
    assert inside.host is behind.host
    assert (inside.geometry.input_shape, behind.geometry.input_shape) == ((6,), (4,))
    assert [str(Site(inside.name, behind=False)), behind.name] == ["0", "0+"]


def test_a_module_that_is_compiled_or_a_graph_already_is_refused_in_words() -> None:
    for made in (torch.compile(OwnLoop(), backend="eager"), torch.fx.symbolic_trace(OwnLoop())):
        net = nn.Sequential(made, nn.Linear(2, 2))
        with pytest.raises(UnsupportedLayerError, match=r"'0\+' of type .* pickles itself"):
            wrap(net, ["0+"], example_input=torch.randn(3, 2), inplace=True)
        assert net[0] is made


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_module_cannot_be_watched_and_those_around_it_can() -> None:
    scripted = torch.jit.trace(nn.Linear(2, 2), torch.randn(3, 2))
    net, x = nn.Sequential(scripted, nn.Linear(2, 2)), torch.randn(3, 2)
    assert places(net, x, "1+").layer("1+").geometry.output_shape == (2,)
    with pytest.raises(UnsupportedLayerError, match=r"behind module '0' .* was not called"):
        places(net, x, "0+")
