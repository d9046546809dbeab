"""The guard of a layer's kernels: a `KernelExecutor` whose verdicts become moves of the seeds."""

from __future__ import annotations

from functools import partial

from esper.execution.execution_stats import KernelFailure
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kernel_executor import KernelExecutor


def guard(layer: KasminaLayer) -> None:
    """Let the layer's kernels run guarded, unless there is nothing left to fall back to.

    A fossil that took its host's place is the model itself: it runs as any other layer does, and
    a number that is not finite reaches the loss, where everyone looks for it.
    """
    if layer.host_dropped:
        layer.executor = None
    elif layer.executor is None:
        layer.executor = KernelExecutor(
            layer.num_seeds,
            layer.state.device,
            on_failure=partial(_note, layer),
            on_isolate=layer.on_isolate,
        )


def _note(layer: KasminaLayer, failure: KernelFailure) -> None:
    layer.seed(failure.seed_index).strikes = failure.strikes
