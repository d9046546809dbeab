from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.contracts.library import Target
from esper.execution.kernel_compile import CACHE_VARIABLE
from esper.services.tezzeret.latency import CALLS, available, latency, warm
from esper.services.tezzeret.proof_subject import CheckFailedError, Subject
from support.forge import blueprint_of, perceptron


def subject() -> Subject:
    return Subject.of(blueprint_of(perceptron()), seed=0)


def test_median_and_worst_come_from_the_clock() -> None:
    ticks = (n * n * 1000 for n in count())
    found = latency(subject(), Target(batch_size=2), clock=lambda: next(ticks))
    # Calls take the differences of neighbouring squares: 1, 5, 9, ... microseconds.
    assert found.calls == CALLS
    assert found.worst_us == 4 * (CALLS - 1) + 1
    assert found.median_us == 2 * (CALLS - 1) + 1


def test_slow_kernels_are_timed_a_few_times_only() -> None:
    second = count(step=10**9)
    assert latency(subject(), Target(batch_size=2), clock=lambda: next(second)).calls == 5


def test_the_processor_is_always_there() -> None:
    assert available(Target(batch_size=1))
    assert not available(Target(device="meta", batch_size=1))


COMPILED = Target(batch_size=4, compiled=True)
# Compiling in a test's own process imports what warns of its own old ways.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    yield
    torch._dynamo.reset()


class Unlike(nn.Linear):
    """Another kernel when compiled."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        out = super().forward(input)
        return out * 1.01 if torch.compiler.is_compiling() else out


class Faulty(Subject):
    @override
    def fresh(self) -> nn.Module:
        return Unlike(8, 6)


def test_a_kernel_that_computes_otherwise_when_compiled_is_found() -> None:
    good = blueprint_of(perceptron())
    subject = Faulty(blueprint=good, ir=Subject.of(good, seed=0).ir, seed=0)
    with pytest.raises(CheckFailedError, match="compiled, the kernel's"):
        warm(subject, COMPILED)


def test_what_was_compiled_stays_in_the_folder(tmp_path: Path) -> None:
    assert "results off by at most" in warm(
        Subject.of(blueprint_of(perceptron()), seed=0), COMPILED
    )
    assert any(path.is_file() for path in tmp_path.rglob("*"))
