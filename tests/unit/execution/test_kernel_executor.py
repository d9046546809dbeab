"""KernelExecutor: a bad call costs that call and nothing else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from esper.contracts.errors import ConfigError, KernelExecutionError, KernelMismatchError
from esper.execution.execution_stats import ExecutorConfig, FailureKind, KernelFailure
from esper.execution.kernel_executor import KernelExecutor

# Dynamo (torch 2.13) itself makes the instance that torch warns of, for any autograd.Function.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


@dataclass
class Slot:
    index: int = 0


class Faulty(nn.Module):
    """A kernel with parameters whose result is spoilt by `fault`."""

    def __init__(self, fault: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.fault = fault

    def forward(self, x: Tensor) -> object:
        return self.fault(self.linear(x))


class Explosive(nn.Module):
    """Infinite inside and out whenever `charge` is set; its backward pass makes NaN."""

    charge: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("charge", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(torch.log(torch.exp(self.linear(x)) - self.charge))
        return out


class Host(nn.Module):
    """A layer with one residual or replacing kernel, blended as KasminaLayer does."""

    def __init__(self, kernel: nn.Module, *, select: bool = False) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4)
        self.layer = nn.Linear(4, 4)
        self.kernel = kernel
        self.executor = KernelExecutor(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        base: Tensor = self.layer(x)
        out = self.executor.run(Slot(), self.kernel, x, tuple(base.shape), fallback=base)
        return base if out is None else torch.lerp(base, out, 0.5)


def boom(_: Tensor) -> Tensor:
    raise ZeroDivisionError("boom")


FAULTS: dict[FailureKind, Callable[[Tensor], object]] = {
    FailureKind.RAISED: boom,
    FailureKind.NOT_A_TENSOR: lambda y: (y, y),
    FailureKind.WRONG_SHAPE: lambda y: y[:, :3],
    FailureKind.WRONG_DTYPE: lambda y: y.to(torch.float64),
    FailureKind.NON_FINITE: lambda y: y / 0,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_bad_call_is_bypassed_counted_and_reported(kind: FailureKind) -> None:
    seen: list[KernelFailure] = []
    executor = KernelExecutor(2, on_failure=seen.append)

    assert executor.run(Slot(1), Faulty(FAULTS[kind]), torch.randn(2, 4), (2, 4)) is None

    assert executor.failures[kind] == 1
    assert (executor.stats.calls, executor.stats.bypassed) == (1, 1)
    assert [(f.seed_index, f.kind, f.strikes, f.isolated) for f in seen] == [(1, kind, 1, False)]


def test_good_call_returns_exactly_what_the_kernel_returns() -> None:
    kernel, x = nn.Linear(4, 4), torch.randn(2, 4)
    out = KernelExecutor(1).run(Slot(), kernel, x, (None, 4))
    assert out is not None
    assert torch.equal(out, kernel(x))


def test_large_finite_values_whose_sum_overflows_are_good() -> None:
    x = torch.full((2, 4), 3e38)
    assert KernelExecutor(1).run(Slot(), nn.Identity(), x, (2, 4)) is not None


def test_third_strike_isolates_and_the_kernel_is_not_called_again() -> None:
    isolated: list[KernelFailure] = []
    calls = 0

    def fault(y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return y / 0

    executor = KernelExecutor(1, on_isolate=isolated.append)
    for _ in range(5):
        executor.run(Slot(), Faulty(fault), torch.ones(2, 4), (2, 4))

    assert calls == 3
    assert [failure.strikes for failure in isolated] == [3]
    assert executor.is_isolated(0)
    assert executor.stats.skipped == 2

    executor.reinstate(0)
    assert not executor.is_isolated(0)
    assert executor.run(Slot(), nn.Linear(4, 4), torch.ones(2, 4), (2, 4)) is not None


def test_good_calls_forgive_nothing_within_the_window() -> None:
    executor = KernelExecutor(1)
    for _ in range(3):
        executor.run(Slot(), Faulty(boom), torch.ones(2, 4), (2, 4))
        for _ in range(50):
            executor.run(Slot(), nn.Identity(), torch.ones(2, 4), (2, 4))
            executor.poll()
    assert executor.is_isolated(0)


def test_strikes_expire_at_the_end_of_the_window() -> None:
    seen: list[KernelFailure] = []
    executor = KernelExecutor(1, config=ExecutorConfig(window_steps=10), on_failure=seen.append)
    for _ in range(4):
        executor.run(Slot(), Faulty(boom), torch.ones(2, 4), (2, 4))
        for _ in range(10):
            executor.poll()
    assert [failure.strikes for failure in seen] == [1, 1, 1, 1]
    assert not executor.is_isolated(0)


def reference_gradients(host: Host, x: Tensor) -> list[Tensor]:
    plain = nn.Sequential(copy.deepcopy(host.before), copy.deepcopy(host.layer))
    plain.zero_grad()
    plain(x).square().sum().backward()
    return [p.grad for p in plain.parameters() if p.grad is not None]


def host_gradients(host: Host) -> list[Tensor]:
    host_parameters = [*host.before.parameters(), *host.layer.parameters()]
    return [p.grad for p in host_parameters if p.grad is not None]


def test_nan_kernel_leaves_host_gradients_bit_equal_and_gives_itself_none() -> None:
    kernel, x = Explosive(), torch.randn(3, 4)
    kernel.charge.fill_(1e9)
    host = Host(kernel)

    host(x).square().sum().backward()

    for got, want in zip(host_gradients(host), reference_gradients(host, x), strict=True):
        assert torch.equal(got, want)
    assert all(p.grad is None for p in kernel.parameters())


def test_bad_call_leaves_running_statistics_as_they_were() -> None:
    kernel = Explosive()
    before = copy.deepcopy(kernel.state_dict())
    kernel.charge.fill_(1e9)
    Host(kernel)(torch.randn(3, 4))
    kernel.charge.zero_()
    for name, value in kernel.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_compiled_without_break_selects_counts_and_keeps_gradients_clean() -> None:
    kernel, x = Explosive(), torch.randn(3, 4)
    host = Host(kernel)
    eager = copy.deepcopy(host)
    compiled = torch.compile(host, fullgraph=True, backend="aot_eager")

    loss = compiled(x).square().sum()
    loss.backward()
    eager_loss = eager(x).square().sum()
    eager_loss.backward()
    assert torch.allclose(loss, eager_loss)
    for got, want in zip(host.parameters(), eager.parameters(), strict=True):
        assert got.grad is not None
        assert want.grad is not None
        assert torch.allclose(got.grad, want.grad, atol=1e-6)

    host.zero_grad(set_to_none=True)
    statistics = kernel.norm.running_mean
    assert statistics is not None
    before = statistics.clone()
    kernel.charge.fill_(1e9)
    compiled(x).square().sum().backward()
    for got, want in zip(host_gradients(host), reference_gradients(host, x), strict=True):
        assert torch.allclose(got, want, atol=1e-6)
    for parameter in kernel.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    assert torch.equal(statistics, before)
    assert [failure.count for failure in host.executor.poll()] == [1]


def test_compiled_failures_strike_out_at_poll() -> None:
    executor = KernelExecutor(1)
    kernel = Faulty(lambda y: y / 0)
    run = torch.compile(
        lambda x: executor.run(Slot(), kernel, x, (2, 4)), fullgraph=True, backend="eager"
    )
    for _ in range(3):
        assert torch.equal(run(torch.ones(2, 4)), torch.zeros(2, 4))
        assert not executor.is_isolated(0)
    executor.poll()
    assert executor.is_isolated(0)
    assert executor.failures[FailureKind.ON_DEVICE] == 3


def test_compiled_wrong_shape_is_bypassed_and_counted() -> None:
    executor = KernelExecutor(1)
    kernel = Faulty(lambda y: y[:, :3])
    run = torch.compile(
        lambda x: executor.run(Slot(), kernel, x, (2, 4)), fullgraph=True, backend="eager"
    )
    assert run(torch.ones(2, 4)) is None
    assert executor.poll()[0].count == 1


def test_export_holds_the_plain_kernel() -> None:
    host = Host(nn.Linear(4, 4)).eval()
    x = torch.randn(2, 4)
    program = torch.export.export(host, (x,))
    assert torch.allclose(program.module()(x), host(x))
    targets = {str(node.target) for node in program.graph.nodes}
    assert not any("isfinite" in target or "where" in target for target in targets)


def test_export_refuses_a_kernel_of_the_wrong_shape() -> None:
    host = Host(nn.Linear(4, 3)).eval()
    with pytest.raises(Exception, match=r"returned shape \(2, 3\)") as caught:
        torch.export.export(host, (torch.randn(2, 4),), strict=False)
    assert isinstance(caught.value, KernelMismatchError)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no memory"), MemoryError(), KeyboardInterrupt()]
)
def test_errors_that_are_not_the_kernels_pass_through(error: BaseException) -> None:
    def fault(_: Tensor) -> Tensor:
        raise error

    executor = KernelExecutor(1)
    with pytest.raises(type(error)):
        executor.run(Slot(), Faulty(fault), torch.ones(2, 4), (2, 4))
    assert executor.stats.bypassed == 0


def test_kernel_that_changes_its_input_is_an_error_not_a_bypass() -> None:
    executor = KernelExecutor(1)
    with pytest.raises(KernelExecutionError, match="in place"):
        executor.run(Slot(), nn.ReLU(inplace=True), torch.randn(2, 4), (2, 4))


@pytest.mark.parametrize("charge", [0.0, 1e9])
def test_activation_checkpointing_counts_a_call_once_and_keeps_gradients(charge: float) -> None:
    host = Host(Faulty(lambda y: torch.log(torch.exp(y) - charge)))
    reference = copy.deepcopy(host)
    x = torch.randn(3, 4)
    checkpoint(host, x, use_reentrant=False).square().sum().backward()
    reference(x).square().sum().backward()
    for got, want in zip(host.parameters(), reference.parameters(), strict=True):
        assert (got.grad is None) == (want.grad is None)
        assert got.grad is None or want.grad is None or torch.equal(got.grad, want.grad)
    assert host.executor.stats.bypassed == (1 if charge else 0)


def test_autocast_result_is_cast_to_the_stated_dtype() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = KernelExecutor(1).run(
            Slot(), nn.Linear(4, 4), torch.randn(2, 4), (2, 4), dtype=torch.float32
        )
    assert out is not None
    assert out.dtype == torch.float32


def test_check_frequency_is_counted_never_silent() -> None:
    executor = KernelExecutor(1, config=ExecutorConfig(finite_check_every=4))
    kernel = Faulty(lambda y: y / 0)
    results = [executor.run(Slot(), kernel, torch.ones(2, 4), (2, 4)) for _ in range(8)]
    assert [result is None for result in results] == [False, False, False, True] * 2
    assert executor.stats.unchecked == 6


@pytest.mark.parametrize("bad", [{"strikes": 0}, {"window_steps": 0}, {"finite_check_every": -1}])
def test_config_out_of_range_names_the_field(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        ExecutorConfig(**bad)


def test_executor_survives_deepcopy_and_pickle() -> None:
    executor = KernelExecutor(1)
    executor.run(Slot(), Faulty(boom), torch.ones(2, 4), (2, 4))
    for twin in (copy.deepcopy(executor), pickle.loads(pickle.dumps(executor))):
        assert twin.run(Slot(), nn.Identity(), torch.ones(2, 4), (2, 4)) is not None
        twin.poll()
        for _ in range(2):  # the strike from before counts
            assert not twin.is_isolated(0)
            twin.run(Slot(), Faulty(boom), torch.ones(2, 4), (2, 4))
        assert twin.is_isolated(0)
    assert not executor.is_isolated(0)


def test_inference_mode_works_before_and_after_training() -> None:
    executor = KernelExecutor(1)
    with torch.inference_mode():
        assert executor.run(Slot(), nn.Identity(), torch.ones(2, 4), (2, 4)) is not None
    assert executor.run(Slot(), nn.Identity(), torch.ones(2, 4), (2, 4)) is not None


def test_latency_comes_from_the_injected_clock() -> None:
    ticks = iter([1.0, 1.5])
    executor = KernelExecutor(1, clock=lambda: next(ticks))
    executor.run(Slot(), nn.Identity(), torch.ones(2, 4), (2, 4))
    assert executor.stats.seconds == executor.stats.last_seconds == 0.5
