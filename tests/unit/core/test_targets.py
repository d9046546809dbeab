from __future__ import annotations

import pytest
from torch import nn

from esper.contracts.errors import LayerNotFoundError, UnsupportedLayerError
from esper.contracts.site import Site
from esper.core.targets import find_targets


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)
    )


def found(*targets: type[nn.Module] | str, traced: bool = True) -> list[str]:
    return [str(site) for site in find_targets(model(), targets or None, None, traced=traced)]


def test_convolutions_are_targets_by_default_where_an_example_shows_their_pictures() -> None:
    assert found() == ["0", "2", "4"]
    assert found(traced=False) == ["2", "4"]


def test_names_and_types_add_up_in_the_models_order() -> None:
    assert found("4", nn.Conv2d) == ["0", "4"]


def test_the_place_behind_a_module_of_any_type_is_found_by_its_text() -> None:
    assert found("3+", "2", "2+") == ["2", "2+", "3+"]


def test_a_pattern_means_every_place_that_it_matches() -> None:
    deep = nn.ModuleDict({"a": model(), "b": model()})
    several = find_targets(deep, ["*.3+", "b.2"], None, traced=True)
    assert [str(site) for site in several] == ["a.3+", "b.2", "b.3+"]
    with pytest.raises(LayerNotFoundError, match=r"no layer of the pattern 'c\.\*\+'"):
        find_targets(deep, ["c.*+"], None, traced=True)


def test_a_filter_leaves_layers_out() -> None:
    kept = find_targets(model(), None, lambda layer, name: name != "2", traced=True)
    assert [str(site) for site in kept] == ["0", "4"]


def test_a_layer_with_two_names_is_found_once() -> None:
    shared = nn.Linear(4, 4)
    twice = find_targets(nn.Sequential(shared, shared), ["1", "1+"], None, traced=False)
    assert list(twice) == [Site("0"), Site("0", behind=True)]
    assert set(twice.values()) == {shared}


def test_a_name_that_is_not_there_is_refused_with_a_near_one() -> None:
    with pytest.raises(LayerNotFoundError, match="no layer 'head'"):
        found("head")


@pytest.mark.parametrize("target", ["3", nn.ReLU])
def test_what_cannot_host_is_refused(target: str | type[nn.Module]) -> None:
    with pytest.raises(UnsupportedLayerError, match=r"cannot host kernels\. Supported are"):
        found(target)


def test_an_empty_find_says_what_is_there_instead() -> None:
    with pytest.raises(LayerNotFoundError, match=r"no layer of Conv1d.*layers of Conv2d, Linear"):
        found(nn.Conv1d)
