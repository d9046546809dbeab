from __future__ import annotations

from collections.abc import Callable

import pytest

from esper.contracts.errors import RegistryError
from esper.utils.registry import Registry


class Base:
    pass


class Middle(Base):
    pass


class Leaf(Middle):
    pass


def test_a_registered_handler_is_found_and_stays_itself() -> None:
    registry: Registry[str, Callable[[], int]] = Registry("thing")

    @registry.register("one")
    def one() -> int:
        return 1

    assert registry.lookup("one") is one
    assert one() == 1
    assert list(registry) == ["one"]
    assert "one" in registry
    assert len(registry) == 1


def test_a_duplicate_key_is_refused_and_the_first_owner_stays() -> None:
    registry: Registry[str, int] = Registry("kernel family")
    registry.add("dense", 1)
    with pytest.raises(RegistryError, match="kernel family 'dense' is already registered"):
        registry.register("dense")(2)
    assert registry.lookup("dense") == 1


def test_an_unknown_key_names_the_nearest_and_all_known_ones() -> None:
    registry: Registry[str, int] = Registry("kernel family")
    registry.add("bottleneck", 1)
    registry.add("attention", 2)
    with pytest.raises(RegistryError) as caught:
        registry.lookup("botleneck")
    assert "no kernel family 'botleneck'" in str(caught.value)
    assert "Did you mean 'bottleneck'?" in str(caught.value)
    assert "Known: attention, bottleneck." in str(caught.value)


def test_an_unknown_key_of_an_empty_registry_says_that_nothing_is_known() -> None:
    registry: Registry[str, int] = Registry("thing")
    with pytest.raises(LookupError, match="Known: none"):
        registry.lookup("x")


def test_a_type_is_looked_up_along_its_ancestors_nearest_first() -> None:
    registry: Registry[type, str] = Registry("host")
    registry.add(Base, "base")
    assert registry.lookup_type(Leaf) == "base"
    registry.add(Middle, "middle")
    assert registry.lookup_type(Leaf) == "middle"
    assert registry.lookup_type(Base) == "base"


def test_a_type_without_a_registered_ancestor_is_an_error() -> None:
    registry: Registry[type, str] = Registry("host")
    registry.add(Middle, "middle")
    with pytest.raises(RegistryError, match=r"no host 'Base'.*Known: Middle"):
        registry.lookup_type(Base)


def test_the_mapping_is_read_only() -> None:
    registry: Registry[str, int] = Registry("thing")
    with pytest.raises(TypeError):
        registry["x"] = 1  # type: ignore[index]
