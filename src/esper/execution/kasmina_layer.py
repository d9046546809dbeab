"""KasminaLayer: a host layer that can carry kernels, and is exactly itself while it carries none.

Start at `forward`. A layer becomes one by a change of class (`conversion.convert`), so it stays the
same object with the same parameters under the same names. All that is added to the instance is one
attribute, `_esper`; while a kernel takes part there are also `_live` (what the forward pass runs),
the submodule `esper_kernels` (what `parameters()` and `state_dict()` see), and a hook that does
nothing: its presence keeps `nn.TransformerEncoderLayer` off its fused inference path, which would
skip the kernel.

Structure changes at step boundaries only; who calls these methods sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import AlphaError, KernelExecutionError, KernelMismatchError
from esper.contracts.lifecycle import SeedPhase, seed_state, slot_state
from esper.execution.blending import blend, checked_alpha
from esper.execution.host_branch import placeholders_follow
from esper.execution.nesting import as_nested, as_padded
from esper.execution.seed import Branch
from esper.execution.seed_slots import KERNELS, RUNNING, SeedSlots

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry
    from esper.execution.seed import Seed

Shape = tuple[int | None, ...]


class KasminaLayer(SeedSlots):
    """Mixin that stands before the host's own class. Made by `convert`, never constructed."""

    _batched_dims: int | None = None
    """Axes of a batched input, for hosts that also take a single sample; None for others."""
    unit_axis: int = -1
    """Axis of the output that counts units: features or channels."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the host returns, with the live kernels blended in."""
        if self._live:
            return self._grown(args, kwargs)
        return super().forward(*args, **kwargs)

    def host_forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the host layer alone returns."""
        return super().forward(*args, **kwargs)

    # What a host type may have to say for itself ------------------------------------------------

    def kernel_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Return the tensor that kernels see, out of the arguments of `forward`."""
        found: Tensor = args[0] if args else next(iter(kwargs.values()))
        return found

    def host_output(self, output: Any) -> Tensor:
        """Return the tensor that kernels blend into, out of what the host returned."""
        found: Tensor = output
        return found

    def rejoin(self, output: Any, blended: Tensor) -> Any:
        """Return what `forward` is to return.

        Args:
            output: What the host returned, or None if the host was not computed.
            blended: What stands in place of `host_output(output)`.
        """
        return blended

    def expected_shape(self, x: Tensor) -> Shape | None:
        """Return the shape that a kernel must return for `x`, batch first; None if not known."""
        geometry = self._esper.geometry
        if geometry is None:
            return None
        return (x.shape[0], *geometry.output_shape)

    @property
    def batch_axis(self) -> int:
        """Axis of the batch in the layer's input: 1 in a sequence-first model."""
        geometry = self._esper.geometry
        return 0 if geometry is None else geometry.batch_axis

    # The forward pass with kernels ---------------------------------------------------------------

    def _grown(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raw = self.kernel_input(args, kwargs)
        x, lengths = as_padded(raw)
        single = self._batched_dims is not None and x.dim() == self._batched_dims - 1
        x = self._enter(x, single)
        live, output, base = self._live, None, None
        if not live[0].full or self._may_fall_back(live[0], x):
            output, base = self._host(args, kwargs, single)
        for branch in live:
            kernel_out = self._run(branch, x, base)
            if kernel_out is None:
                if base is None:
                    output, base = self._host(args, kwargs, single)
            elif base is None or branch.full:
                base = kernel_out
            else:
                alpha = branch.alpha
                if alpha is None:
                    alpha = self._esper.state.alpha_blend[branch.slot]
                base = blend(base, kernel_out, alpha, branch.mode)
        if not torch.compiler.is_compiling():
            self._esper.calls += 1
        assert base is not None
        return self.rejoin(output, as_nested(self._leave(base, single), lengths))

    def _may_fall_back(self, branch: Branch, x: Tensor) -> bool:
        """Whether the device chooses between kernel and host, and so needs both."""
        executor = self._esper.executor
        return branch.kernel is None and executor is not None and executor.selects(x)

    def _host(self, args: Any, kwargs: Any, single: bool) -> tuple[Any, Tensor]:
        if self._esper.host_dropped:
            raise KernelExecutionError(
                f"the kernel of layer '{self.name}' failed and its host was dropped when it was "
                f"fossilised, so there is nothing to fall back to; return to a checkpoint"
            )
        output = self.host_forward(*args, **kwargs)
        base, _ = as_padded(self.host_output(output))
        return output, self._enter(base, single)

    def _enter(self, x: Tensor, single: bool) -> Tensor:
        if single:
            return x.unsqueeze(0)
        axis = self.batch_axis
        return x if axis == 0 else x.movedim(axis, 0)

    def _leave(self, y: Tensor, single: bool) -> Tensor:
        if single:
            return y.squeeze(0)
        axis = self.batch_axis
        return y if axis == 0 else y.movedim(0, axis)

    def _run(self, branch: Branch, x: Tensor, base: Tensor | None) -> Tensor | None:
        """Return the kernel's output, or None if the executor bypassed it."""
        expected = self.expected_shape(x) if base is None else tuple(base.shape)
        executor = self._esper.executor
        if branch.kernel is not None or executor is None or expected is None:
            kernel = branch.kernel
            if kernel is None:
                kernel = self.get_submodule(f"{KERNELS}.{branch.key}")
            return self._checked(kernel(x), expected, branch)
        kernel = self.get_submodule(f"{KERNELS}.{branch.key}")
        fallback = base if branch.mode is KernelMode.REPLACING else None
        seed = self._esper.seeds[branch.slot]
        return executor.run(seed, kernel, x, expected, fallback=fallback)

    def _checked(self, out: Tensor, expected: Shape | None, branch: Branch) -> Tensor:
        fits = expected is None or (
            out.dim() == len(expected)
            and all(want in {None, have} for have, want in zip(out.shape, expected, strict=True))
        )
        if not fits:
            raise KernelMismatchError(
                f"kernel {branch.key} of layer '{self.name}' returned shape {tuple(out.shape)} "
                f"where {expected} is needed; use a kernel built for this layer's geometry"
            )
        return out

    # Counterfactuals ---------------------------------------------------------------------------

    @contextmanager
    def substitute(
        self, kernel: nn.Module, mode: KernelMode | str, alpha: float = 1.0
    ) -> Iterator[None]:
        """Blend in a kernel that stays unregistered, for the duration; on top of the live ones.

        No lifecycle, executor or state is involved; parameters and `state_dict` do not change. This
        is what a race in the shadow and a counterfactual measure with.

        Args:
            kernel: As for `install`, already on the right device.
            mode: As for `install`.
            alpha: Blending coefficient in [0, 1].
        """
        value = checked_alpha(alpha, f"a substitute in layer '{self.name}'")
        mode = KernelMode(mode)
        full = mode is KernelMode.REPLACING and value == 1.0
        weight = torch.tensor(value, device=self.state.device)
        branch = Branch(-1, "substitute", mode, full, kernel, weight)
        if value > 0.0:
            self._esper.substitutes.append(branch)
            self._refresh()
        try:
            yield
        finally:
            kept = [other for other in self._esper.substitutes if other is not branch]
            self._esper.substitutes[:] = kept
            self._refresh()

    @contextmanager
    def at_alpha(self, seed_idx: int, alpha: float) -> Iterator[None]:
        """Run with another alpha for the duration, the seed's phase unchanged: a counterfactual.

        Raises:
            AlphaError: `alpha` is out of range, or below 1 for a fossil that has no host any more.
            KernelMismatchError: The slot holds no kernel that could be blended.
        """
        seed = self.seed(seed_idx)
        value = checked_alpha(alpha, f"seed {seed_idx} of layer '{self.name}'")
        if seed.kernel is None or seed.phase not in RUNNING:
            raise KernelMismatchError(
                f"seed {seed_idx} of layer '{self.name}' is {seed.phase.name} and holds no kernel "
                f"to blend; install one first"
            )
        sole = self.host_dropped and seed.mode is KernelMode.REPLACING
        if sole and seed.phase is SeedPhase.FOSSILIZED and value != 1.0:
            raise AlphaError(
                f"alpha of seed {seed_idx} of layer '{self.name}' cannot be {value}: it is a fossil "
                f"and its host was dropped; measure before fossilising"
            )
        before, order = seed.alpha, list(self._esper.order)
        if seed_idx not in order:
            self._esper.order.append(seed_idx)
        self._write_alpha(seed, value)
        try:
            yield
        finally:
            self._esper.order[:] = order
            self._write_alpha(seed, before)

    # The layer as a module -------------------------------------------------------------------------

    def own_geometry(self) -> Geometry | None:
        """Return what the layer knows of its geometry without an example; None if not enough."""
        return None

    def get_layer_stats(self) -> dict[str, Any]:
        """Return what the layer is and holds, as plain values. Waits for no device."""
        growth = self._esper
        live = self.live_seeds()
        parameters = sum(p.numel() for s in live if s.kernel for p in s.kernel.parameters())
        executor = growth.executor
        return {
            "layer_name": growth.name,
            "layer_type": type(self).__name__,
            "total_seeds": len(growth.seeds),
            "active_seeds": len(live),
            "dormant_seeds": sum(s.phase is SeedPhase.DORMANT for s in growth.seeds),
            "error_seeds": sum(s.phase is SeedPhase.ERROR_RECOVERY for s in growth.seeds),
            "host_dropped": growth.host_dropped,
            "kernel_parameters": parameters,
            "total_kernel_executions": growth.calls if executor is None else executor.stats.calls,
            "bypassed_executions": 0 if executor is None else executor.stats.bypassed,
            "telemetry_enabled": growth.telemetry,
            "seeds": [_seed_stats(seed) for seed in growth.seeds],
        }

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._esper.state.follow(fn)
        if self._esper.host_dropped:
            placeholders_follow(self, fn, keep=KERNELS)
        return self


def _seed_stats(seed: Seed) -> dict[str, Any]:
    return {
        "index": seed.index,
        "phase": seed.phase.name,
        "seed_state": seed_state(seed.phase).name,
        "slot_state": slot_state(seed.phase).name,
        "alpha": seed.alpha,
        "mode": str(seed.mode),
        "kernel_id": seed.kernel_id,
        "label": seed.label,
        "strikes": seed.strikes,
    }
