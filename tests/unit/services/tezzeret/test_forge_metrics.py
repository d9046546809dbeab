from __future__ import annotations

import re
from contextlib import nullcontext

from esper.services.tezzeret import forge_metrics as module
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.forge_metrics import ForgeMetrics
from esper.services.tezzeret.supervisor import Supervisor
from support.forge import MemoryQueue


class Forge(Supervisor):
    """Says that so many of two workers are there."""

    there = 1

    def alive(self) -> int:
        return self.there


def forge() -> Forge:
    return Forge(TezzeretConfig(workers=2), lambda: nullcontext(MemoryQueue()))


def test_the_figures_are_those_of_the_moment() -> None:
    asked = forge()
    metrics = ForgeMetrics(asked)
    assert "esper_tezzeret_workers 1.0" in metrics.text()
    asked.there = 2
    lines = metrics.text().splitlines()
    assert "esper_tezzeret_workers 2.0" in lines
    assert "esper_tezzeret_workers_wanted 2.0" in lines
    assert "esper_tezzeret_worker_starts_total 0.0" in lines


def test_every_metric_is_documented_and_no_other() -> None:
    counted = set(re.findall(r"^(esper_\w+) ", ForgeMetrics(forge()).text(), re.MULTILINE))
    assert set(re.findall(r"^\| `(esper_\w+)`", module.__doc__ or "", re.MULTILINE)) == counted
