"""Whatever order lines come in, however often, in whatever batches: the store is the log."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esper.contracts.ports import Delivery
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.run_deliveries import NOW, contents, delivery, read

pytestmark = pytest.mark.asyncio

_FRESH = itertools.count()


@dataclass(frozen=True)
class Attempt:
    """What one attempt at a run wrote."""

    kept: int
    """Lines of the log that it began with."""
    lines: tuple[Mapping[str, Any], ...]


def _line(attempt: int, number: int, step: int, shape: int) -> Mapping[str, Any]:
    """Lines of one attempt differ from those of another, so that a mixture is seen."""
    figure = attempt + number / 100
    return [
        logged_runs.step(step, figure),
        {"type": "eval", "step": step, "train_loss": 1.0, "growth_loss": figure},
        logged_runs.fossil() | {"step": step, "parameters": 100 * attempt + number},
        {"type": "interrupted", "step": step, "reason": f"{attempt}.{number}"},
    ][shape]


@st.composite
def histories(draw: st.DrawFn) -> list[Attempt]:
    """A run that was resumed up to three times, each time from any point of its log."""
    attempts, length = [], 0
    for number in range(draw(st.integers(1, 4))):
        kept = draw(st.integers(0, length)) if number else 0
        shapes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
        first = {"type": "resume", "attempt": number} if kept else logged_runs.START
        lines = [_line(number, i, kept + i + 1, shape) for i, shape in enumerate(shapes)]
        attempts.append(Attempt(kept, ({"step": kept, **first}, *lines)))
        length = kept + len(shapes) + 1
    return attempts


@st.composite
def batches(draw: st.DrawFn, history: list[Attempt], run_id: str) -> list[list[Delivery]]:
    """All lines, cut, doubled and mixed up in any way, as they might come over the bus."""
    sent = []
    for number, attempt in enumerate(history):
        begin = 0
        while begin < len(attempt.lines):
            end = begin + draw(st.integers(1, len(attempt.lines)))
            sent.append(
                delivery(
                    attempt.lines[begin:end],
                    run_id=run_id,
                    attempt=number,
                    kept=10 * attempt.kept,
                    begin=10 * (attempt.kept + begin),
                    at=NOW + number,
                )
            )
            begin = end
    twice = draw(st.lists(st.sampled_from(sent), max_size=4))
    mixed = draw(st.permutations([*sent, *twice]))
    cuts = sorted(draw(st.sets(st.integers(0, len(mixed)), max_size=4)))
    return [mixed[a:b] for a, b in itertools.pairwise([0, *cuts, len(mixed)])]


def _log(history: list[Attempt]) -> list[Mapping[str, Any]]:
    """What stands in the run's file in the end."""
    log: list[Mapping[str, Any]] = []
    for attempt in history:
        log = [*log[: attempt.kept], *attempt.lines]
    return log


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), history=histories())
async def test_any_order_any_batches_any_doubling_give_the_log(
    store: RunStore, data: st.DataObject, history: list[Attempt]
) -> None:
    mixed, plain = f"mixed-{next(_FRESH)}", f"plain-{next(_FRESH)}"
    new = []
    for batch in data.draw(batches(history, mixed)):
        new += await store.append(read(batch))
    for number, attempt in enumerate(history):
        whole = delivery(
            attempt.lines,
            run_id=plain,
            attempt=number,
            kept=10 * attempt.kept,
            at=NOW + number,
        )
        await store.append(read([whole]))
    found, expected = await contents(store, mixed), await contents(store, plain)
    assert [line["body"] for line in found["lines"]] == _log(history)
    summaries = (found.pop("summary"), expected.pop("summary"))
    assert summaries[0] == summaries[1].model_copy(update={"run_id": mixed})
    assert found == expected
    # Nothing was called new twice, and all that is stored was.
    told = [(one.line.attempt, one.line.position) for one in new]
    assert len(told) == len(set(told))
    assert {(line["attempt"], line["position"]) for line in found["lines"]} <= set(told)
    await store.forget(mixed)
    await store.forget(plain)
