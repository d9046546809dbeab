from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esper.services.tolaria.training_config import TolariaConfig, config_from_mapping

Make = Callable[..., TolariaConfig]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A short run on a small table, settings laid over it."""

    def make(**settings: Any) -> TolariaConfig:
        short = {
            "data": "breast-cancer",
            "output": str(tmp_path / "run"),
            "steps": 40,
            "log_every": 5,
            "eval_every": 10,
            "checkpoint_every": 10,
            "grow": False,
        }
        return config_from_mapping({**short, **settings})

    return make
