"""Models for tests that name a factory on the command line."""

from __future__ import annotations

from torch import nn


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))


def no_module() -> int:
    return 3
