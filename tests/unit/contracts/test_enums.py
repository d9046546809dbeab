from __future__ import annotations

import inspect
from enum import StrEnum

import pytest

from esper.contracts import enums
from esper.contracts.enums import KernelMode, SeedState

VOCABULARIES = [
    member
    for _, member in inspect.getmembers(enums, inspect.isclass)
    if issubclass(member, StrEnum) and member.__module__ == enums.__name__
]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_a_value_is_its_name_in_lower_case(vocabulary: type[StrEnum]) -> None:
    for member in vocabulary:
        spelt = member.value.replace(".", "_").replace(" ", "_")
        assert spelt == member.name.lower()


def test_members_compare_with_plain_strings() -> None:
    assert SeedState("fossilized") is SeedState.FOSSILIZED
    assert KernelMode.REPLACING == "replacing"


def test_the_seed_states_are_the_documented_ones() -> None:
    assert [state.value for state in SeedState] == [
        "dormant",
        "germinated",
        "training",
        "grafting",
        "fossilized",
        "culled",
    ]
