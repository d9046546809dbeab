"""Running a model on an example to see what its layers read and return, and leaving no trace.

`observe` answers, for each layer: which axis is the batch, which axes vary in length, what a flat
input was before it was flattened, and whether the layer may look ahead. It does so by running the
model a few times (two batch sizes, a shorter sequence, a changed last position) rather than by
reading its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from esper.blueprints.example import Example, tensors_in
from esper.blueprints.provenance import Origin, ProvenanceMode
from esper.contracts.errors import GeometryError

MODEL_ERRORS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError)
"""What a model may raise on an input that it was not made for."""
TOLERANCE = 1e-5
"""Differences below this share of the greatest value count as rounding."""


@dataclass
class Call:
    """What a layer read and returned in its first call of a run."""

    read: tuple[int, ...]
    returned: torch.Tensor
    origin: Origin | None
    integers: bool
    self_attention: bool
    returns_tensor: bool


@dataclass
class Run:
    """One run of the model: its output tensors and each layer's call."""

    outputs: list[torch.Tensor]
    calls: dict[str, Call] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """What was seen of one layer.

    Args:
        batch_axis: Axis of the layer's input that grows with the batch.
        returned_batch_axis: Likewise of its output.
        read: Shape that the layer reads per sample; None where the size varies.
        returned: Shape that it returns per sample, likewise.
        example_returned: The shape that it returned in the example, every axis known.
        returns_tensor: Whether it returns one floating-point tensor and nothing else.
        example_read: The shape that it read in the example, every axis known.
        origin: Where the values came from, for a flat input.
        integers: Whether it reads integers.
        causal: Whether it sits where looking ahead would change what the model can be used for.
        self_attention: For attention: whether queries, keys and values were one tensor.
    """

    batch_axis: int
    returned_batch_axis: int
    read: tuple[int | None, ...]
    returned: tuple[int | None, ...]
    example_returned: tuple[int, ...]
    returns_tensor: bool
    example_read: tuple[int, ...]
    origin: Origin | None
    integers: bool
    causal: bool
    self_attention: bool


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluate a model without gradients; restore modes, buffers, random state and hooks after."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    cuda = [device for device in devices if device.type == "cuda"]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=cuda), torch.no_grad():
        try:
            # The fused path of transformer layers would skip the layers' own forward.
            torch.backends.mha.set_fastpath_enabled(False)
            for module, _ in modes:
                module.training = False
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            for module, mode in modes:
                module.training = mode
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def observe(
    model: nn.Module, example: Example, layers: Mapping[str, nn.Module], batch_axis: int | None
) -> dict[str, Observation]:
    """Return what was seen of each layer that was called with a batch.

    Raises:
        GeometryError: The model fails on the example as it was given.
    """
    with undisturbed(model):
        try:
            _run(model, example, {})
        except MODEL_ERRORS as error:
            raise GeometryError(
                f"The model failed on example_input ({example}): {type(error).__name__}: {error}. "
                "Pass what the model's forward takes: a tensor, a tuple or a dict of arguments."
            ) from error
        axis, small = _find_batch_axis(model, example, batch_axis)
        base = _run(model, small, layers, ProvenanceMode(list(small.tensors().values())))
        double = _run(model, small.repeated(axis), layers)
        shorter = [
            run
            for cut in small.shortened(axis)
            if (run := _attempt(model, cut, layers)) is not None
        ]
        causal = _causal_layers(model, small, axis, base, layers)
    seen = {}
    for name, call in base.calls.items():
        if name in double.calls:
            found = _observation(name, call, double, shorter, name in causal)
            if found is not None:
                seen[name] = found
    return seen


def _run(
    model: nn.Module,
    example: Example,
    layers: Mapping[str, nn.Module],
    mode: ProvenanceMode | None = None,
) -> Run:
    run = Run([])
    with ExitStack() as stack:
        if mode is not None:
            stack.enter_context(mode)
        for name, layer in layers.items():
            handle = layer.register_forward_hook(_recorder(run, name, mode), with_kwargs=True)
            stack.callback(handle.remove)
        run.outputs = tensors_in(model(*example.args, **example.kwargs))
    return run


def _attempt(model: nn.Module, example: Example, layers: Mapping[str, nn.Module]) -> Run | None:
    """Run on an input that the model may refuse."""
    try:
        return _run(model, example, layers)
    except MODEL_ERRORS:
        return None


def _recorder(run: Run, name: str, mode: ProvenanceMode | None) -> Any:
    def record(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        read = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        returned = tensors_in(out)
        if name in run.calls or not read or not returned:
            return
        first = read[0]
        run.calls[name] = Call(
            tuple(first.shape),
            returned[0].detach().clone(),
            mode.origin(first) if mode is not None and first.dim() == 2 else None,
            not first.is_floating_point(),
            all(other.data_ptr() == first.data_ptr() for other in read[1:3]),
            isinstance(out, torch.Tensor) and out.is_floating_point(),
        )

    return record


def _find_batch_axis(model: nn.Module, example: Example, given: int | None) -> tuple[int, Example]:
    """Return the axis of the inputs along which samples do not affect each other.

    Both samples of a pair are run; the first one is changed; along the batch axis the second
    one's outputs stay. Axis 0 is taken where neither axis shows this.
    """
    for axis in (0, 1) if given is None else ():
        if not example.has_axis(axis):
            continue
        small = example.first_samples(axis)
        double = small.repeated(axis)
        one, two = _attempt(model, small, {}), _attempt(model, double, {})
        changed = _attempt(model, double.changed_at(axis, 0), {})
        if one and two and changed and _independent(one, two, changed):
            return axis, small
    axis = given or 0
    small = example.first_samples(axis)
    return axis, small if _attempt(model, small, {}) is not None else example


def _independent(one: Run, two: Run, changed: Run) -> bool:
    """Whether outputs grow with the axis, and a change of its first place leaves the others."""
    grew = False
    for single, double, after in zip(one.outputs, two.outputs, changed.outputs, strict=False):
        axis = _grown_axis(tuple(single.shape), tuple(double.shape))
        if axis is None:
            continue
        grew = True
        others = double.shape[axis] - 1
        if not alike(double.narrow(axis, 1, others), after.narrow(axis, 1, others)):
            return False
    return grew


def _grown_axis(small: tuple[int, ...], large: tuple[int, ...]) -> int | None:
    if len(small) != len(large):
        return None
    return next((axis for axis, (a, b) in enumerate(zip(small, large, strict=True)) if b > a), None)


def alike(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Return whether two tensors are equal but for rounding."""
    if left.shape != right.shape:
        return False
    left, right = left.double(), right.double()
    scale = left.abs().nan_to_num(0.0, 0.0, 0.0).max().item() if left.numel() else 0.0
    return torch.allclose(left, right, rtol=0.0, atol=TOLERANCE * scale + 1e-12, equal_nan=True)


def _observation(
    name: str, call: Call, double: Run, shorter: list[Run], causal: bool
) -> Observation | None:
    """Return what the runs say of one layer; None where its input does not grow with the batch."""
    twice = double.calls[name]
    axis = _grown_axis(call.read, twice.read)
    out_axis = _grown_axis(tuple(call.returned.shape), tuple(twice.returned.shape))
    if axis is None or out_axis is None:
        return None
    read: list[int | None] = list(call.read)
    returned: list[int | None] = list(call.returned.shape)
    for run in shorter:
        if name in run.calls:
            _open_axes(read, call.read, run.calls[name].read)
            _open_axes(returned, call.returned.shape, run.calls[name].returned.shape)
    return Observation(
        batch_axis=axis,
        returned_batch_axis=out_axis,
        example_returned=_without(call.returned.shape, out_axis),
        returns_tensor=call.returns_tensor,
        read=tuple(size for place, size in enumerate(read) if place != axis),
        returned=tuple(size for place, size in enumerate(returned) if place != out_axis),
        example_read=_without(call.read, axis),
        origin=call.origin,
        integers=call.integers,
        causal=causal,
        self_attention=call.self_attention,
    )


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return tuple(size for place, size in enumerate(shape) if place != axis)


def _open_axes(sizes: list[int | None], before: Any, after: Any) -> None:
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new and len(before) == len(after):
            sizes[place] = None


def _causal_layers(
    model: nn.Module, example: Example, axis: int, base: Run, layers: Mapping[str, nn.Module]
) -> set[str]:
    """Return the layers whose earlier outputs must not depend on later positions.

    The last position of an input is changed. Where the model's outputs for earlier positions stay
    as they were, a layer that carries that change at the last position only must look back only.
    A model without an output per position shows it by its attention layers.
    """
    causal: set[str] = set()
    for changed, length in example.changed_at_last_position(axis):
        run = _attempt(model, changed, layers)
        if run is None:
            continue
        pairs = list(zip(base.outputs, run.outputs, strict=False))
        verdicts = [_looks_back(before, after, length) for before, after in pairs]
        local = {
            name
            for name, call in run.calls.items()
            if name in base.calls and _looks_back(base.calls[name].returned, call.returned, length)
        }
        if None in verdicts or not verdicts:
            verdicts = [verdict for verdict in verdicts if verdict is not None]
            if not verdicts:
                attention = any(isinstance(layers[name], nn.MultiheadAttention) for name in local)
                verdicts = [attention]
        if all(verdicts):
            causal |= local
    return causal


def _looks_back(before: torch.Tensor, after: torch.Tensor, length: int) -> bool | None:
    """Whether only the last place of an axis of this length changed; None without such an axis."""
    if before.shape != after.shape:
        return None
    axes = [axis for axis, size in enumerate(before.shape) if size == length]
    if not axes:
        return None
    if alike(before, after):
        return False
    return any(
        alike(before.narrow(axis, 0, length - 1), after.narrow(axis, 0, length - 1))
        for axis in axes
    )
