"""Held-out evidence: what is the loss with a kernel, and what would it be without?

Every decision of a growth run rests on this file and sees the growth split only.
Two answers are compared sample by sample. Each is first given its best single
temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 9),
because an over-confident host makes any change that softens its logits look like
a gain.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from esper.contracts.errors import ConfigError
from esper.contracts.growth import Evidence

LossFn = Callable[[Any, Any], Tensor]
MetricFn = Callable[[Any, Any], Any]

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_LOG_TEMPERATURE = 3.0  # temperatures from e^-3 to e^3
_SEARCH_STEPS = 14  # to within 0.4 %; the loss is flat there, its error is some 1e-5
_RESAMPLES = 1000


def call_model(model: nn.Module, x: Any) -> Any:
    """Call ``model`` on one batch: a mapping as keywords, a tuple or list as arguments."""
    if isinstance(x, dict):
        return model(**x)
    if isinstance(x, (tuple, list)):
        return model(*x)
    return model(x)


def batch_size(x: Any) -> int:
    """Number of samples in a batch: the length of its first tensor."""
    if isinstance(x, Tensor):
        return x.shape[0]
    values = x.values() if isinstance(x, dict) else x
    return next(batch_size(v) for v in values if isinstance(v, (Tensor, tuple, list, dict)))


def slice_batch(x: Any, rows: Any) -> Any:
    """The chosen rows of every tensor in a batch, its structure kept."""
    if isinstance(x, Tensor):
        return x[rows]
    if isinstance(x, dict):
        return {k: slice_batch(v, rows) for k, v in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(slice_batch(v, rows) for v in x)
    return x


def to_device(x: Any, device: torch.device) -> Any:
    """Every tensor of a batch on ``device``, its structure kept."""
    if isinstance(x, Tensor):
        return x.to(device)
    if isinstance(x, dict):
        return {k: to_device(v, device) for k, v in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(to_device(v, device) for v in x)
    return x


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each module's own training flag is put back."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in flags:
            module.training = training


class SampleLoss:
    """The user's loss function, made to answer for each sample.

    Args:
        loss_fn: ``loss_fn(output, target)`` returning the mean over a batch. A function or
            module that takes ``reduction`` is asked once per batch with ``"none"``; any
            other is asked once per sample.
        calibrate: fit a single temperature to ``output`` before the loss. ``None`` decides by
            the target: class indices (integers) mean logits.
    """

    def __init__(self, loss_fn: LossFn, *, calibrate: bool | None = None) -> None:
        self._mean = loss_fn
        self._calibrate = calibrate
        self._unreduced = _without_reduction(loss_fn)

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Losses of shape ``[samples]``."""
        n = batch_size(target)
        if self._unreduced is not None:
            losses = self._unreduced(output, target)
            if losses.ndim and losses.shape[0] == n:
                return losses.reshape(n, -1).mean(dim=1)
        rows = (slice(i, i + 1) for i in range(n))
        return torch.stack(
            [self._mean(slice_batch(output, r), slice_batch(target, r)) for r in rows]
        )

    def calibrated(self, output: Any, target: Any) -> tuple[Tensor, float]:
        """Losses of shape ``[samples]`` at the best single temperature, and that temperature.

        The temperature is found by golden-section search over its logarithm.
        """
        if not self._has_logits(output, target):
            return self(output, target), 1.0

        def mean_loss(log_t: float) -> float:
            return float(self._mean(output / math.exp(log_t), target))

        low, high = -_LOG_TEMPERATURE, _LOG_TEMPERATURE
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        loss_a, loss_b = mean_loss(a), mean_loss(b)
        for _ in range(_SEARCH_STEPS):
            if loss_a < loss_b:
                high, b, loss_b = b, a, loss_a
                a = high - _GOLDEN * (high - low)
                loss_a = mean_loss(a)
            else:
                low, a, loss_a = a, b, loss_b
                b = low + _GOLDEN * (high - low)
                loss_b = mean_loss(b)
        temperature = math.exp((low + high) / 2)
        return self(output / temperature, target), temperature

    def _has_logits(self, output: Any, target: Any) -> bool:
        is_tensor = isinstance(output, Tensor) and output.is_floating_point()
        if self._calibrate is not None:
            return self._calibrate and is_tensor
        integers = isinstance(target, Tensor) and not target.is_floating_point()
        return is_tensor and integers and output.ndim >= 2


def _without_reduction(loss_fn: LossFn) -> LossFn | None:
    if isinstance(loss_fn, nn.Module):
        if getattr(loss_fn, "reduction", None) != "mean":
            return None
        unreduced = copy.copy(loss_fn)
        setattr(unreduced, "reduction", "none")  # noqa: B010  # nn.Module types attributes as tensors
        return unreduced
    try:
        parameters = inspect.signature(loss_fn).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return None
    if "reduction" not in parameters or getattr(loss_fn, "keywords", None):
        return None  # a partial may fix weights or smoothing: ask it sample by sample
    # Unlike a lambda, a partial can go to another process.
    return partial(loss_fn, reduction="none")  # type: ignore[call-arg]  # asked above


@dataclass(frozen=True)
class HeldOut:
    """One model's answers on the growth split."""

    losses: Tensor
    """Per-sample losses at the best temperature, shape ``[samples]``, on the CPU."""
    temperature: float
    metric: float | None
    raw_loss: float
    """Mean loss at temperature 1."""

    @property
    def loss(self) -> float:
        """Mean calibrated loss."""
        return float(self.losses.mean())


class GrowthSplit:
    """The held-out data that decisions may see, kept in memory.

    Args:
        data: an iterable of ``(x, y)`` batches, for example a ``DataLoader``; samples along the
            first axis.
        loss_fn: the user's loss.
        metric: ``metric(output, target)`` → number, higher is better; reported, never decided on.
        limit: at most this many samples are kept.
        calibrate: see :class:`SampleLoss`.
        device: where the model is; the batches are moved there.

    Raises:
        ConfigError: the data is empty, too small for evidence, or not ``(x, y)`` batches.
    """

    smallest = 20

    def __init__(
        self,
        data: Iterable[Any],
        loss_fn: LossFn,
        *,
        metric: MetricFn | None = None,
        limit: int = 2000,
        calibrate: bool | None = None,
        device: torch.device | None = None,
    ) -> None:
        collected = _collect(data, limit)
        self.batches = collected if device is None else to_device(collected, device)
        self.size = sum(batch_size(y) for _, y in self.batches)
        if self.size < self.smallest:
            message = (
                f"growth_data holds {self.size} samples; evidence needs at least {self.smallest}: "
                "pass an iterable of (x, y) batches held out from training"
            )
            raise ConfigError(message)
        self._loss = SampleLoss(loss_fn, calibrate=calibrate)
        self._mean = loss_fn
        self._metric = metric

    def measure(self, model: nn.Module, *, limit: int | None = None) -> HeldOut:
        """Answer the split with ``model`` in evaluation mode, its state untouched."""
        outputs: list[Any] = []
        targets: list[Any] = []
        seen = 0
        with evaluating(model):
            for x, y in self.batches:
                outputs.append(call_model(model, x))
                targets.append(y)
                seen += batch_size(y)
                if limit is not None and seen >= limit:
                    break
            if not all(isinstance(o, Tensor) for o in outputs):
                return self._batchwise(outputs, targets)
            output, target = torch.cat(outputs), torch.cat(targets)
            losses, temperature = self._loss.calibrated(output, target)
            metric = None if self._metric is None else float(self._metric(output, target))
            raw = float(self._mean(output, target))
        return HeldOut(losses.float().cpu(), temperature, metric, raw)

    def probe(self, samples: int) -> tuple[Any, Any]:
        """A few samples to measure costs with: of the first batch, at most so many."""
        x, y = self.batches[0]
        rows = slice(min(samples, batch_size(y)))
        return slice_batch(x, rows), slice_batch(y, rows)

    def samples(self, limit: int | None) -> int:
        """How many samples :meth:`measure` answers under ``limit``."""
        seen = 0
        for _, y in self.batches:
            seen += batch_size(y)
            if limit is not None and seen >= limit:
                break
        return seen

    def _batchwise(self, outputs: list[Any], targets: list[Any]) -> HeldOut:
        # Structured outputs (a dict, a ModelOutput) cannot be sliced: a batch is the unit.
        if len(outputs) < self.smallest:
            message = (
                f"the model returns {type(outputs[0]).__name__}, so each growth batch counts as one "
                f"sample, and {len(outputs)} batches are too few (least {self.smallest}): "
                "use smaller batches in growth_data"
            )
            raise ConfigError(message)
        losses = torch.stack([self._mean(o, y) for o, y in zip(outputs, targets, strict=True)])
        metric = None
        if self._metric is not None:
            values = [float(self._metric(o, y)) for o, y in zip(outputs, targets, strict=True)]
            metric = sum(values) / len(values)
        return HeldOut(losses.float().cpu(), 1.0, metric, float(losses.mean()))


def _collect(data: Iterable[Any], limit: int) -> list[tuple[Any, Any]]:
    batches: list[tuple[Any, Any]] = []
    seen = 0
    for batch in data:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            message = (
                f"growth_data yields {type(batch).__name__}; it must yield (x, y) pairs, "
                "for example a DataLoader over a TensorDataset(x, y)"
            )
            raise ConfigError(message)
        x, y = batch
        if not batch_size(y):
            continue
        batches.append((x, y))
        seen += batch_size(y)
        if seen >= limit:
            break
    return batches


def compare(
    without: HeldOut, with_kernel: HeldOut, *, seed: int, confidence: float = 0.95
) -> Evidence:
    """Paired bootstrap of the relative gain of ``with_kernel`` over ``without``.

    The gain is ``(loss_without - loss_with) / loss_without`` on calibrated losses; its interval
    is the percentile bootstrap (Efron 1979) over 1,000 resamples of the paired differences.

    Args:
        without: the answers to be beaten.
        with_kernel: the answers to be judged, of the same samples in the same order.
        seed: of the resampling. Comparisons over the same samples with the same seed resample
            alike, so that their intervals can be set side by side.
        confidence: two-sided, in (0, 1).
    """
    difference = (without.losses - with_kernel.losses).double()
    scale = max(float(without.losses.double().mean().abs()), 1e-12)
    n = difference.numel()
    rows = torch.randint(n, (_RESAMPLES, n), generator=torch.Generator().manual_seed(seed))
    means = difference[rows].mean(dim=1)
    tail = (1.0 - confidence) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Evidence(
        gain=float(difference.mean()) / scale,
        ci_low=low / scale,
        ci_high=high / scale,
        confidence=confidence,
        loss_without=without.loss,
        loss_with=with_kernel.loss,
        temperature_without=without.temperature,
        temperature_with=with_kernel.temperature,
        metric_without=without.metric,
        metric_with=with_kernel.metric,
        samples=n,
    )
