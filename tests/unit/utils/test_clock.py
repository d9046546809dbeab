from __future__ import annotations

import time

from esper.utils.clock import SystemClock


def test_it_tells_the_machines_time() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


def test_its_other_time_never_runs_backwards() -> None:
    moments = [SystemClock().monotonic() for _ in range(100)]
    assert moments == sorted(moments)
