"""The wrapper leaves no mark on names: a MorphableModel's `state_dict` is the plain model's."""

from __future__ import annotations

from typing import Any

from torch import nn

WRAPPED = "wrapped_model"
"""Attribute of a MorphableModel that holds the model."""
PREFIX = f"{WRAPPED}."


def strip_prefix(
    module: nn.Module, state: dict[str, Any], prefix: str, metadata: dict[str, Any]
) -> None:
    """Hook after `state_dict`: take the wrapper out of names and of the layers' versions."""
    _rename(state, f"{prefix}{PREFIX}", prefix)
    versions = getattr(state, "_metadata", None)
    if versions is not None:
        # Batch norm reads its version there when the plain model loads this.
        versions.pop(prefix[:-1], None)
        wrapped = f"{prefix}{WRAPPED}"
        for key in [k for k in versions if k == wrapped or k.startswith(f"{wrapped}.")]:
            rest = key[len(wrapped) :].removeprefix(".")
            versions[f"{prefix}{rest}" if rest else prefix[:-1]] = versions.pop(key)


def add_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Hook before loading: put the wrapper into the names again."""
    _rename(state, prefix, f"{prefix}{PREFIX}")


def _rename(state: dict[str, Any], old: str, new: str) -> None:
    for key in [key for key in state if key.startswith(old)]:
        state[f"{new}{key[len(old) :]}"] = state.pop(key)
