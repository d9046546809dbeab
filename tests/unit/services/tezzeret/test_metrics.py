from __future__ import annotations

from esper.services.tezzeret.metrics import ForgeMetrics


def test_the_figures_are_those_of_the_moment() -> None:
    alive = [1]
    metrics = ForgeMetrics(wanted=2, alive=lambda: alive[0], starts=lambda: 7)
    assert "esper_tezzeret_workers 1.0" in metrics.text()
    alive[0] = 2
    lines = metrics.text().splitlines()
    assert "esper_tezzeret_workers 2.0" in lines
    assert "esper_tezzeret_workers_wanted 2.0" in lines
    assert "esper_tezzeret_worker_starts_total 7.0" in lines
