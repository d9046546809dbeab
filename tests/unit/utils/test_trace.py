from __future__ import annotations

import re

from esper.utils.trace import trace_id_of


def test_each_adaptation_of_each_run_has_a_trace_id_of_its_own_that_does_not_change() -> None:
    ids = [trace_id_of(run, number) for run in ("a", "b") for number in range(3)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert ids[0] == trace_id_of("a", 0)
