"""KasminaLayer: runs the kernels of one layer of a model, and nothing while there are none.

Start at `run`. `conversion.convert` gives a layer its KasminaLayer by a change of class
(`kasmina_host.py`), so that it stays the same object with the same parameters under the same
names. All that is added to the instance is one private attribute, `_esper`; while it holds kernels,
there is also the submodule `esper_kernels` (what `parameters()` and `state_dict()` see), and while one
takes part, a hook that does nothing: its presence keeps `nn.TransformerEncoderLayer` off its fused
inference path, which would skip the kernel.

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
from esper.contracts.site import Site
from esper.execution.blending import blend, checked_alpha
from esper.execution.host_branch import placeholders_follow
from esper.execution.hosts.host_registry import Shape
from esper.execution.kasmina_host import KasminaHost, plain_class
from esper.execution.nesting import as_nested, as_padded
from esper.execution.seed import Branch
from esper.execution.seed_slots import RUNNING, SeedSlots

if TYPE_CHECKING:
    from esper.execution.seed import Seed


class KasminaLayer(SeedSlots):
    """What makes one layer of a model carry kernels. Made by `convert`."""

    # The forward pass with kernels ---------------------------------------------------------------

    def run(self, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the host returns, with the live kernels blended in.

        Args:
            host: `self.host`, or a replica of it, whose own weights and kernels are used.
            args: The arguments of its `forward`.
            kwargs: Likewise.
        """
        raw = self.kind.kernel_input(self, args, kwargs)
        x, lengths = as_padded(raw)
        dims = self.kind.batched_dims
        single = dims is not None and x.dim() == dims - 1
        x = self._enter(x, single)
        live, output, base = self.live, None, None
        if self.behind or not live[0].full or self._may_fall_back(live[0], x):
            output, base = self._host(host, args, kwargs, single)
        for branch in live:
            kernel_out = self._run_kernel(host, branch, x, base)
            if kernel_out is None:
                if base is None:
                    output, base = self._host(host, args, kwargs, single)
            elif base is None or branch.full:
                base = kernel_out
            else:
                alpha = branch.alpha
                if alpha is None:
                    alpha = self.state.alpha_blend[branch.slot]
                base = blend(base, kernel_out, alpha, branch.mode)
        if not torch.compiler.is_compiling():
            self.calls += 1
        assert base is not None
        return self.kind.rejoin(self, output, as_nested(self._leave(base, single), lengths))

    def host_forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the host alone returns."""
        return self.kind.compute(self.host, args, kwargs)

    def _may_fall_back(self, branch: Branch, x: Tensor) -> bool:
        """Whether the device chooses between kernel and host, and so needs both."""
        return branch.kernel is None and self.executor is not None and self.executor.selects(x)

    def _host(self, host: nn.Module, args: Any, kwargs: Any, single: bool) -> tuple[Any, Tensor]:
        if self.host_dropped:
            raise KernelExecutionError(
                f"the kernel of layer '{self.name}' failed and its host was dropped when it was "
                f"fossilised, so there is nothing to fall back to; return to a checkpoint"
            )
        output = self.kind.compute(host, args, kwargs)
        base, _ = as_padded(self.kind.host_output(self, output))
        return output, self._enter(base, single)

    def _enter(self, x: Tensor, single: bool) -> Tensor:
        if single:
            return x.unsqueeze(0)
        axis = self.kind.batch_axis(self)
        return x if axis == 0 else x.movedim(axis, 0)

    def _leave(self, y: Tensor, single: bool) -> Tensor:
        if single:
            return y.squeeze(0)
        axis = self.kind.batch_axis(self)
        return y if axis == 0 else y.movedim(0, axis)

    def _run_kernel(
        self, host: nn.Module, branch: Branch, x: Tensor, base: Tensor | None
    ) -> Tensor | None:
        """Return the kernel's output, or None if the executor bypassed it."""
        expected = self.kind.expected_shape(self, x) if base is None else tuple(base.shape)
        kernel = branch.kernel
        if kernel is None:
            kernel = host.get_submodule(f"{self.store}.{branch.key}")
        if branch.kernel is not None or self.executor is None or expected is None:
            return self._checked(kernel(x), expected, branch)
        fallback = base if branch.mode is KernelMode.REPLACING else None
        return self.executor.run(self.seed(branch.slot), kernel, x, expected, fallback=fallback)

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
            self._substitutes.append(branch)
            self._refresh()
        try:
            yield
        finally:
            kept = [other for other in self._substitutes if other is not branch]
            self._substitutes[:] = kept
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
        before, order = seed.alpha, list(self.order)
        if seed_idx not in order:
            self.order.append(seed_idx)
        self._write_alpha(seed, value)
        try:
            yield
        finally:
            self.order[:] = order
            self._write_alpha(seed, before)

    # The layer as a module -------------------------------------------------------------------------

    def get_layer_stats(self) -> dict[str, Any]:
        """Return what the layer is and holds, as plain values. Waits for no device."""
        live = self.live_seeds()
        parameters = sum(p.numel() for s in live if s.kernel for p in s.kernel.parameters())
        executor = self.executor
        return {
            "layer_name": self.name,
            "layer_type": f"Kasmina{plain_class(self.host).__name__}",
            "total_seeds": len(self._seeds),
            "active_seeds": len(live),
            "dormant_seeds": sum(s.phase is SeedPhase.DORMANT for s in self._seeds),
            "error_seeds": sum(s.phase is SeedPhase.ERROR_RECOVERY for s in self._seeds),
            "host_dropped": self.host_dropped,
            "kernel_parameters": parameters,
            "total_kernel_executions": self.calls if executor is None else executor.stats.calls,
            "bypassed_executions": 0 if executor is None else executor.stats.bypassed,
            "telemetry_enabled": self.telemetry_enabled,
            "seeds": [_seed_stats(seed) for seed in self._seeds],
        }

    def follow(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Move what is no parameter or buffer of the host along with it; see `nn.Module._apply`."""
        self.state.follow(fn)
        self._like = fn(self._like)
        if self.host_dropped:
            placeholders_follow(self.host, fn)


def layers_of(module: nn.Module) -> list[KasminaLayer]:
    """Return what governs the places at a module where kernels can stand; empty for most."""
    return module._esper.layers() if isinstance(module, KasminaHost) else []


def kasmina_layers(model: nn.Module) -> dict[str, KasminaLayer]:
    """Return the KasminaLayers of any model by the text of their site, in model order."""
    return {
        str(Site(name, layer.behind)): layer
        for name, module in model.named_modules()
        for layer in layers_of(module)
    }


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
