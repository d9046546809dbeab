from __future__ import annotations

from typing import Any

import torch
from torch import nn

from esper.core.plain_names import WRAPPED, add_prefix, strip_prefix


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        setattr(self, WRAPPED, plain())
        self.register_state_dict_post_hook(strip_prefix)
        self.register_load_state_dict_pre_hook(add_prefix)


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def versions(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state._metadata  # type: ignore[attr-defined]
    return found


def test_a_state_has_the_names_and_versions_of_the_plain_model() -> None:
    state = Wrapper().state_dict()
    assert list(state) == list(plain().state_dict())
    assert versions(state) == versions(plain().state_dict())


def test_inside_another_model_only_the_wrapper_is_taken_out() -> None:
    state = nn.ModuleDict({"part": Wrapper()}).state_dict()
    assert set(state) == {f"part.{name}" for name in plain().state_dict()}


def test_a_plain_state_loads_into_the_wrapper_and_comes_out_again() -> None:
    wrapper, state = Wrapper(), plain().state_dict()
    wrapper.load_state_dict(state)
    for name, value in wrapper.state_dict().items():
        assert torch.equal(value, state[name]), name
