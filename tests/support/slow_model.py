"""A model for `esper train --model support.slow_model:build` that takes its time until it is let go."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from torch import nn

GATE = "ESPER_TEST_GATE"
"""Names a file: until it exists each forward pass takes a while longer."""
PAUSE_SECONDS = 0.1


class Slow(nn.Module):
    """Two layers, and a pause that changes nothing of what they compute."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = os.environ.get(GATE)
        if gate and not Path(gate).exists():
            time.sleep(PAUSE_SECONDS)
        return self.layers(x.flatten(1))


def build() -> nn.Module:
    return Slow()
