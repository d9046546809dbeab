from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from esper.contracts.errors import UnsupportedLayerError
from esper.execution.conversion import convert, restore
from esper.execution.kasmina_host import KasminaHost, host_of, kasmina_class, plain_class
from esper.execution.kasmina_layer import kasmina_layers, layers_of


class Own(nn.Linear):
    """A subclass without anything of its own."""


class Stubborn(nn.Linear):
    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return (Stubborn, (2, 2))


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: Own(2, 2), lambda: nn.GRU(2, 2)])
def test_a_layer_that_hosts_shows_no_name_of_ours(make: object) -> None:
    module = make()
    public = {name for name in dir(module) if not name.startswith("_")}
    convert(module)
    assert {name for name in dir(module) if not name.startswith("_")} == public


def test_there_is_one_class_for_each_type_and_it_is_a_subclass_of_that() -> None:
    assert kasmina_class(nn.Linear) is kasmina_class(nn.Linear)
    assert issubclass(kasmina_class(Own), (KasminaHost, Own))
    assert kasmina_class(Own).__name__ == "KasminaOwn"
    assert kasmina_class(Own).forward is not kasmina_class(nn.Linear).forward
    assert kasmina_class(nn.ReLU) is kasmina_class(nn.ReLU)
    assert (host_of(Own), host_of(nn.ReLU)) == (host_of(nn.Linear), None)


def test_the_signature_of_forward_is_the_layers_own() -> None:
    for kind in (nn.Linear, nn.Conv2d, nn.LayerNorm, nn.MultiheadAttention):
        own = inspect.signature(kasmina_class(kind).forward)
        assert list(own.parameters) == list(inspect.signature(kind.forward).parameters)


def test_the_plain_class_is_found_again() -> None:
    module = Own(2, 2)
    assert plain_class(module) is Own
    convert(module)
    assert plain_class(module) is Own
    assert type(module) is not Own
    assert restore(module) is module
    assert type(module) is Own


def test_layers_are_found_by_name_in_the_model_and_in_its_copies() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(Own(2, 2)))
    convert(model[0], name="0")
    convert(model[2][0], name="2.0")
    assert layers_of(model[1]) == []
    for other in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = kasmina_layers(other)
        assert list(found) == ["0", "2.0"]
        assert [layer.host for layer in found.values()] == [other[0], other[2][0]]
        assert all(layers_of(layer.host) == [layer] for layer in found.values())


def test_a_pickle_is_read_by_a_process_that_has_imported_nothing_of_ours() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    convert(model[0]).install(0, nn.Linear(2, 2), mode="replacing")
    program = (
        "import pickle, sys; model = pickle.load(sys.stdin.buffer);"
        "model[0]._esper.inside.set_alpha(0, 1.0); print(model(__import__('torch').ones(1, 2)).tolist())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(model), capture_output=True, check=True
    )
    model[0]._esper.inside.set_alpha(0, 1.0)
    assert ran.stdout.decode().strip() == str(model(torch.ones(1, 2)).tolist())


def test_a_layer_that_pickles_itself_in_a_way_of_its_own_is_refused_and_left_alone() -> None:
    module = Stubborn(2, 2)
    with pytest.raises(UnsupportedLayerError, match="Stubborn pickles itself in a way of its own"):
        convert(module)
    assert type(module) is Stubborn


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_layer_that_hosts_pickles_by_any_newer_protocol(protocol: int) -> None:
    model, x = nn.Sequential(nn.Linear(2, 2)), torch.randn(3, 2)
    layer = convert(model[0])
    layer.install(0, nn.Linear(2, 2), mode="residual")
    layer.set_alpha(0, 0.5)
    assert torch.equal(pickle.loads(pickle.dumps(model, protocol))(x), model(x))
