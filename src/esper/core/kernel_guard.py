"""The guard of a layer's kernels: a `KernelExecutor` whose verdicts become moves of the seeds."""

from __future__ import annotations

from collections import deque
from functools import partial

from esper.execution.execution_stats import KernelFailure
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kernel_executor import KernelExecutor

Isolations = deque[tuple[str, KernelFailure]]
"""Layers and the failures that had one of their seeds isolated, oldest first."""


def guard(layer: KasminaLayer, isolations: Isolations) -> None:
    """Let the layer's kernels run guarded, unless there is nothing left to fall back to.

    A fossil that took its host's place is the model itself: it runs as any other layer does, and
    a number that is not finite reaches the loss, where everyone looks for it.

    Args:
        layer: The layer.
        isolations: Takes a note of every seed that is isolated, for whoever tells of it.
    """
    if layer.host_dropped:
        layer.executor = None
    elif layer.executor is None:
        layer.executor = KernelExecutor(
            layer.num_seeds,
            layer.state.device,
            on_failure=partial(_note, layer),
            on_isolate=partial(_isolate, layer, isolations),
        )


def _note(layer: KasminaLayer, failure: KernelFailure) -> None:
    layer.seed(failure.seed_index).strikes = failure.strikes


def _isolate(layer: KasminaLayer, isolations: Isolations, failure: KernelFailure) -> None:
    layer.on_isolate(failure)
    isolations.append((layer.name, failure))
