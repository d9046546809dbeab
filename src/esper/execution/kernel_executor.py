"""KernelExecutor: runs a kernel so that a bad call costs that call and nothing else.

The rules, all in one place:

* **Bypass.** A call is bypassed when the kernel raises, returns something that is not a tensor,
  has the wrong shape or dtype, or holds a non-finite value. `run` then returns None (or, where
  the device decides, the fallback), and the host's own output stands.
* **Count and report.** Every bypass is counted in `ExecutionStats`, logged, and handed to
  `on_failure`. None is silent.
* **Three strikes.** Each seed has a circuit (`circuit_breaker.py`) that counts steps instead of
  seconds. Each bypass is a failure, dated with the step it happened in; `poll()` is the step
  boundary and advances the step. `ExecutorConfig.strikes` of them within the last `window_steps`
  steps open the circuit: the seed is isolated, and not run again until `reinstate`. Good calls in
  between forgive nothing; only the window's end does. If nobody calls `poll`, no strike expires.
* **No waiting.** On the CPU the finite check is a branch. On an accelerator, and in a compiled
  graph, the device selects (see `kernel_select.py`) and adds to a counter, which `poll` reads one
  step late and without waiting; its strikes then count for the step of the reading.
* **Not swallowed.** Out of memory, a broken device, KeyboardInterrupt and the signals that torch
  itself sends by exception pass through: they are not the kernel's fault, and hiding them hides
  a failing machine.
* **Exported graphs** (`torch.export`) hold the kernel without a guard, as there is nobody left to
  count; a wrong shape raises while exporting.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import _StopRecomputationError

from esper.contracts.errors import KernelExecutionError, KernelMismatchError
from esper.execution.circuit_breaker import BreakerConfig, CircuitBreaker
from esper.execution.execution_stats import (
    ExecutionStats,
    ExecutorConfig,
    FailureKind,
    KernelFailure,
)
from esper.execution.kernel_check import Shape, as_dtype, is_finite, misfit
from esper.execution.kernel_select import GatedCall
from esper.execution.kernel_tally import KernelTally

logger = logging.getLogger(__name__)

# _StopRecomputationError is how activation checkpointing ends a recomputation early: it is
# thrown through the kernel's frames, and taking it for a failure would break the backward pass.
_NOT_THE_KERNELS_FAULT: Final = (
    torch.OutOfMemoryError,
    torch.AcceleratorError,
    MemoryError,
    _StopRecomputationError,
)


class GuardedSeed(Protocol):
    """What the executor needs to know of a seed: which slot of the layer it is."""

    index: int


class KernelExecutor:
    """Runs the kernels of one layer; see the module's docstring for the rules.

    Args:
        num_seeds: seed slots of the layer.
        device: where the layer is; follows the input if that comes from elsewhere.
        config: strikes, window, frequency of the finite check.
        on_failure: receives every `KernelFailure`, at once on the CPU, at `poll` otherwise.
        on_isolate: receives the failure that isolated a seed, after `on_failure`.
        clock: seconds, monotonic; only for the latency figures.
    """

    def __init__(
        self,
        num_seeds: int,
        device: torch.device | str = "cpu",
        *,
        config: ExecutorConfig | None = None,
        on_failure: Callable[[KernelFailure], None] | None = None,
        on_isolate: Callable[[KernelFailure], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.config = config or ExecutorConfig()
        self.on_failure = on_failure
        self.on_isolate = on_isolate
        self.failures: dict[FailureKind, int] = dict.fromkeys(FailureKind, 0)
        self._clock = clock
        self._step = 0
        self._stats = [ExecutionStats() for _ in range(num_seeds)]
        strikes = BreakerConfig(
            failures=self.config.strikes,
            window_seconds=self.config.window_steps,
            cooldown_seconds=math.inf,
        )
        self._circuits = [CircuitBreaker(strikes, self._current_step) for _ in range(num_seeds)]
        self._owners: list[tuple[nn.Module | None, tuple[nn.Module, ...]]] = [
            (None, ())
        ] * num_seeds
        """Per seed the kernel last run and those of its modules that have buffers."""
        self._tally = KernelTally(num_seeds, torch.device(device))

    def run(
        self,
        seed: GuardedSeed,
        kernel: nn.Module,
        x: Tensor,
        expected: Shape,
        *,
        fallback: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor | None:
        """Run `kernel` on `x`.

        Args:
            seed: its `index` says which slot's books are kept.
            kernel: takes one tensor, gives one tensor.
            x: (B, …), the kernel's input.
            expected: shape that the result must have, batch included; None is any size.
            fallback: used only where the device selects (`selects` says when): the value that
                a bypassed call is to have, of the expected shape. For a replacing kernel this
                is the host's output; None means zeros, which is right for a residual one.
            dtype: that the result must have; default the dtype of `x`, or any floating dtype if
                `x` holds indices. Under autocast a floating result is cast to it instead.

        Returns:
            The kernel's output, or None when the call was bypassed or the seed is isolated.

        Raises:
            KernelExecutionError: the kernel changed its input in place. The host's input is
                gone then, so there is nothing to fall back to.
            KernelMismatchError: wrong shape or dtype, while exporting.
        """
        if torch.compiler.is_compiling():  # true while exporting as well
            return self._run_traced(seed.index, kernel, x, expected, fallback, dtype)
        # A recomputation by activation checkpointing must repeat what the forward pass did.
        if not self._circuits[seed.index].allows() and not _in_backward():
            self._stats[seed.index].skipped += 1
            return None
        return self._run_eager(seed.index, kernel, x, expected, fallback, dtype)

    @staticmethod
    def selects(x: Tensor) -> bool:
        """Whether `run` on `x` leaves the choice to the device, and so needs `fallback`."""
        return torch.compiler.is_compiling() or x.device.type != "cpu"

    def poll(self, *, wait: bool = False) -> list[KernelFailure]:
        """Call once per step, between `optimizer.step()` and the next forward.

        Reads what the device counted up to the previous `poll`, books it as strikes and advances
        the window. `wait=True` waits for the device and reads all that has happened (at the end
        of a run, and in tests).
        """
        self._step += 1
        failures = []
        for index, count in self._tally.read(wait=wait).items():
            message = f"{count} call(s) with a non-finite result or a wrong shape, by the device"
            failures.append(self._strike(index, FailureKind.ON_DEVICE, message, count))
        return failures

    @property
    def stats(self) -> ExecutionStats:
        """Sum over all seeds of the layer (a new object)."""
        total = ExecutionStats()
        for stats in self._stats:
            total.calls += stats.calls
            total.bypassed += stats.bypassed
            total.skipped += stats.skipped
            total.unchecked += stats.unchecked
            total.isolations += stats.isolations
            total.seconds += stats.seconds
            total.last_seconds = max(total.last_seconds, stats.last_seconds)
        return total

    def is_isolated(self, index: int) -> bool:
        """Whether the seed has struck out."""
        return not self._circuits[index].allows()

    def reinstate(self, index: int) -> None:
        """Let an isolated seed run again with a clean slate (a retry, or a new kernel)."""
        self._circuits[index].reset()
        self._owners[index] = (None, ())  # a culled kernel must not live on here
        self._tally.forget(index)

    def _current_step(self) -> int:
        return self._step

    def to(self, device: torch.device) -> None:
        """Prepare for `device`, so that the first call there allocates nothing."""
        self._tally.to(device)

    def _run_eager(
        self,
        index: int,
        kernel: nn.Module,
        x: Tensor,
        expected: Shape,
        fallback: Tensor | None,
        dtype: torch.dtype | None,
    ) -> Tensor | None:
        stats = self._stats[index]
        stats.calls += 1
        every = self.config.finite_check_every
        check = every == 1 or (every > 0 and stats.calls % every == 0)
        on_cpu = x.device.type == "cpu"
        saved = self._buffer_copies(index, kernel) if check and on_cpu and kernel.training else None
        version = -1 if x.is_inference() else x._version  # documented by torch's own notes
        started = self._clock()
        try:
            call = GatedCall(kernel, x) if check and not on_cpu else None
            output = kernel(x) if call is None else call.output
        except _NOT_THE_KERNELS_FAULT:
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: the kernel is not our code
            _restore(saved)
            self._refuse_mutation(index, x, version)
            self._strike(index, FailureKind.RAISED, f"{type(error).__name__}: {error}", 1)
            return None
        finally:
            stats.last_seconds = self._clock() - started
            stats.seconds += stats.last_seconds
        self._refuse_mutation(index, x, version)
        verdict = misfit(output, x, expected, dtype)
        if verdict is not None:
            _restore(saved)
            self._strike(index, *verdict, 1)
            return None
        if not check:
            stats.unchecked += 1
            return as_dtype(output, dtype)
        if call is not None:
            return self._settle(index, call, x, fallback, dtype)
        if not is_finite(output):
            _restore(saved)
            self._strike(index, FailureKind.NON_FINITE, "a NaN or infinity in the result", 1)
            return None
        return as_dtype(output, dtype)

    def _buffer_copies(self, index: int, kernel: nn.Module) -> list[tuple[Tensor, Tensor]] | None:
        """Copy running statistics: a bad call's NaN would stay in them for good."""
        known, owners = self._owners[index]
        if known is not kernel:  # walking a module tree costs more than a small kernel
            owners = tuple(
                m for m in kernel.modules() if any(True for _ in m.buffers(recurse=False))
            )
            self._owners[index] = (kernel, owners)
        if not owners:
            return None
        return [(b, b.detach().clone()) for owner in owners for b in owner.buffers(recurse=False)]

    def _run_traced(
        self,
        index: int,
        kernel: nn.Module,
        x: Tensor,
        expected: Shape,
        fallback: Tensor | None,
        dtype: torch.dtype | None,
    ) -> Tensor | None:
        exporting = torch.compiler.is_exporting()
        if exporting or self.config.finite_check_every == 0:
            call, output = None, kernel(x)
        else:
            call = GatedCall(kernel, x)
            output = call.output
        verdict = misfit(output, x, expected, dtype)
        if verdict is not None:
            if exporting:
                raise KernelMismatchError(f"kernel of seed {index}: {verdict[1]}; fix the kernel")
            self._tally.add(index, torch.ones((), dtype=torch.int64, device=x.device))
            return None
        if call is None:
            return as_dtype(output, dtype)
        return self._settle(index, call, x, fallback, dtype)

    def _settle(
        self,
        index: int,
        call: GatedCall,
        x: Tensor,
        fallback: Tensor | None,
        dtype: torch.dtype | None,
    ) -> Tensor:
        if fallback is None:
            fallback = torch.zeros_like(call.output)
        chosen, good = call.settle(fallback.to(call.output.dtype))
        self._tally.add(index, torch.logical_not(good))
        return as_dtype(chosen, dtype)

    def _refuse_mutation(self, index: int, x: Tensor, version: int) -> None:
        if version >= 0 and x._version != version:  # as above
            raise KernelExecutionError(
                f"the kernel of seed {index} changed its input in place, so the host's input is "
                f"lost; use out-of-place operations (for example nn.ReLU(inplace=False))"
            )

    def _strike(self, index: int, kind: FailureKind, message: str, count: int) -> KernelFailure:
        # What activation checkpointing recomputes was counted in the forward pass.
        repeated = _in_backward()
        isolated = False
        if not repeated:
            stats = self._stats[index]
            stats.bypassed += count
            self.failures[kind] += count
            isolated = self._circuits[index].fail(count)
            stats.isolations += isolated
        failure = KernelFailure(
            seed_index=index,
            kind=kind,
            message=message,
            step=self._step,
            count=count,
            strikes=self._circuits[index].recent,
            isolated=isolated,
        )
        if not repeated:
            self._report(failure)
        return failure

    def _report(self, failure: KernelFailure) -> None:
        logger.warning(
            "kernel of seed %d bypassed (%s): %s; strike %d of %d%s",
            failure.seed_index,
            failure.kind,
            failure.message,
            failure.strikes,
            self.config.strikes,
            ", isolated" if failure.isolated else "",
        )
        if self.on_failure is not None:
            self.on_failure(failure)
        if failure.isolated and self.on_isolate is not None:
            self.on_isolate(failure)


def _in_backward() -> bool:
    """Whether autograd is running a backward pass on this thread (no public name for it)."""
    return torch._C._current_graph_task_id() != -1  # as said above


def _restore(saved: list[tuple[Tensor, Tensor]] | None) -> None:
    if saved is not None:
        with torch.no_grad():
            for buffer, copy in saved:
                buffer.copy_(copy)
