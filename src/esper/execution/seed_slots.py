"""SeedSlots: the slots of a layer, and every change that can be made to them.

Each change of phase goes through `contracts.lifecycle.advance`, before anything else is touched, so
that an illegal one changes nothing. Structure changes belong to step boundaries; who calls these
methods sees to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import (
    AlphaError,
    IllegalTransitionError,
    KernelMismatchError,
    SeedIndexError,
)
from esper.contracts.lifecycle import SeedEvent, SeedPhase, advance
from esper.execution.blending import checked_alpha
from esper.execution.host_branch import STORES, drop_parameters, reference_tensor
from esper.execution.hosts.behind import BEHIND
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_host import KasminaHost, host_of, plain_class
from esper.execution.probing import check_kernel
from esper.execution.seed import Branch, Seed
from esper.execution.state_layout import KasminaStateLayout

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry
    from esper.blueprints.ir import GraphIR
    from esper.execution.execution_stats import KernelFailure
    from esper.execution.hosts.host_registry import Host
    from esper.execution.kernel_executor import KernelExecutor

RUNNING = (SeedPhase.TRAINING, SeedPhase.GRAFTING, SeedPhase.FOSSILIZED)
"""Phases in which a seed holds a kernel that works, or has become part of the host."""


class SeedSlots:
    """The part of a KasminaLayer that holds its seeds; see `kasmina_layer.KasminaLayer`.

    Attributes:
        host: The layer of the model, in which it stands.
        kind: What is known of its type, or of the place behind it.
        name: Text of the site: qualified name in the model, with a `+` for the place behind.
        behind: Whether kernels stand behind the layer, on its output, rather than in it.
        geometry: What goes in and out, if it is known.
        state: The seeds' state as tensors on the layer's device.
        telemetry_enabled: Whether health probes measure this layer.
        host_dropped: Whether a replacing fossil took the host branch's place for good.
        executor: Guards the kernels; None runs them unguarded.
        order: Slots whose kernels take part, in the order in which they began to.
        live: What the forward pass runs beside or instead of the host.
        calls: Forward passes in which a kernel took part; compiled ones are not counted.
    """

    def __init__(
        self,
        host: KasminaHost,
        kind: Host,
        *,
        name: str,
        num_seeds: int,
        geometry: Geometry | None,
        telemetry: bool,
        like: Tensor,
    ) -> None:
        self.host, self.kind, self.name = host, kind, name
        self.behind = kind is BEHIND
        self.geometry = geometry
        self.telemetry_enabled = telemetry
        self._like = like.new_empty(0)
        device = "cpu" if like.device.type == "meta" else like.device
        self.state = KasminaStateLayout(num_seeds, device)
        self.host_dropped = False
        self.executor: KernelExecutor | None = None
        self.order: list[int] = []
        self.live: tuple[Branch, ...] = ()
        self.calls = 0
        self._seeds = tuple(Seed(index) for index in range(num_seeds))
        self._substitutes: list[Branch] = []

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is known of the host's type, which may be functions of a user's own."""
        return {name: value for name, value in vars(self).items() if name != "kind"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        kind = BEHIND if self.behind else host_of(plain_class(self.host))
        assert kind is not None  # it was there when the layer was made
        self.kind = kind

    # What is there --------------------------------------------------------------------------------

    @property
    def num_seeds(self) -> int:
        """Number of slots."""
        return len(self._seeds)

    @property
    def store(self) -> str:
        """Name of the host's submodule that holds the kernels."""
        return STORES[self.behind]

    @property
    def kernels(self) -> nn.ModuleDict | None:
        """The submodule of the host that holds the kernels by slot; None while there is none."""
        found = self.host._modules.get(self.store)
        return found if isinstance(found, nn.ModuleDict) else None

    def seed(self, seed_idx: int) -> Seed:
        """Return the mirror of one slot.

        Raises:
            SeedIndexError: The layer has no such slot.
        """
        seeds = self._seeds
        if isinstance(seed_idx, bool) or not isinstance(seed_idx, int):
            seed_idx = -1 if not hasattr(seed_idx, "__index__") else seed_idx.__index__()
        if not 0 <= seed_idx < len(seeds):
            raise SeedIndexError(
                f"seed {seed_idx} of layer '{self.name}' does not exist; it has {len(seeds)} "
                f"slot(s), 0 to {len(seeds) - 1}"
            )
        return seeds[seed_idx]

    def seeds(self) -> tuple[Seed, ...]:
        """Return the mirrors of all slots."""
        return self._seeds

    def live_seeds(self) -> tuple[Seed, ...]:
        """Return the seeds that hold a kernel or have become part of the host, by slot."""
        return tuple(seed for seed in self._seeds if seed.phase in RUNNING)

    # Moves ---------------------------------------------------------------------------------------

    def germinate(self, seed_idx: int) -> None:
        """Reserve a slot (DORMANT to ALLOCATED)."""
        self._advance(self.seed(seed_idx), SeedEvent.GERMINATE)

    def begin_loading(self, seed_idx: int) -> None:
        """Note that the slot's kernel is being fetched and built (ALLOCATED to LOADING)."""
        self._advance(self.seed(seed_idx), SeedEvent.LOAD)

    def install(
        self,
        seed_idx: int,
        kernel: nn.Module,
        *,
        mode: KernelMode | str,
        ir: GraphIR | None = None,
        kernel_id: str | None = None,
        label: str = "",
    ) -> None:
        """Put a kernel into a slot that is DORMANT, ALLOCATED or LOADING; TRAINING, alpha 0, after.

        The kernel becomes submodule `esper_kernels.<seed_idx>`, on the host's device, in its dtype
        and its train or eval mode. The layer's output stays bit-identical until alpha is raised.

        Args:
            seed_idx: Slot.
            kernel: Takes what `kernel_input` gives, batch first, and returns what the host returns.
            mode: Whether it takes the host's place or stands beside it.
            ir: The graph that it was built from, for checkpoints and export.
            kernel_id: SHA-256 of its file in hexadecimal.
            label: Name for people.

        Raises:
            SeedIndexError: No such slot.
            IllegalTransitionError: The slot is taken.
            KernelMismatchError: A probe shows that shapes do not fit (only if `geometry` is known),
                or a kernel behind the layer is to take its place.
        """
        seed = self.seed(seed_idx)
        events = {SeedPhase.LOADING: 2, SeedPhase.ALLOCATED: 1}.get(seed.phase, 0)
        phase = seed.phase
        for event in (SeedEvent.GERMINATE, SeedEvent.LOAD, SeedEvent.INSTALL)[events:]:
            phase = advance(phase, event)
        mode = KernelMode(mode)
        if self.behind and mode is KernelMode.REPLACING:
            raise KernelMismatchError(
                f"a kernel at '{self.name}' stands behind the layer and adds to what it returns; "
                f"install it with mode 'residual', or in '{self.name[:-1]}' itself"
            )
        self._prepare(kernel)
        self._register(seed, kernel)
        seed.mode, seed.ir = mode, ir
        seed.kernel_id, seed.label, seed.strikes, seed.alpha = kernel_id, label, 0, 0.0
        self._enter_phase(seed, phase)
        self.state.write(seed_idx, kernel_id=kernel_id or "", alpha=0.0)
        if self.executor is not None:
            self.executor.reinstate(seed_idx)
        self._refresh()

    def set_alpha(self, seed_idx: int, alpha: float) -> None:
        """Set the blending coefficient of a seed that is TRAINING or GRAFTING.

        Above 0 the seed is GRAFTING, at 0 it is TRAINING again; at 0 its kernel is not computed, and
        at 1 what a replacing kernel stands in for is not.

        Raises:
            SeedIndexError: No such slot.
            AlphaError: `alpha` is not a number in [0, 1].
            IllegalTransitionError: The seed is in another phase.
        """
        seed = self.seed(seed_idx)
        value = checked_alpha(alpha, f"seed {seed_idx} of layer '{self.name}'")
        if value > 0.0 and seed.phase is not SeedPhase.GRAFTING:
            self._advance(seed, SeedEvent.BLEND)
            self.order.append(seed_idx)
        elif value == 0.0 and seed.phase is not SeedPhase.TRAINING:
            self._advance(seed, SeedEvent.RETREAT)
            self.order.remove(seed_idx)
        self._write_alpha(seed, value)

    def freeze_kernel(self, seed_idx: int) -> None:
        """Train a kernel's parameters no further; it goes on taking part.

        Raises:
            SeedIndexError: No such slot.
            IllegalTransitionError: The slot holds no kernel, or one that was folded into the host.
        """
        seed = self.seed(seed_idx)
        if seed.kernel is None:
            raise IllegalTransitionError(f"no kernel to freeze in seed {seed_idx} of '{self.name}'")
        seed.kernel.requires_grad_(requires_grad=False)
        seed.frozen = True

    def fossilize(self, seed_idx: int) -> None:
        """Make a GRAFTING kernel part of the model for good.

        A linear kernel on a linear host, unless it is frozen, is folded into the host's weights:
        `seed.kernel` is None then. Otherwise a replacing kernel at alpha 1 takes the host's place,
        whose parameters (and kernels before this one) are released; a residual kernel stays beside.

        Raises:
            SeedIndexError: No such slot.
            IllegalTransitionError: The seed is not GRAFTING.
            AlphaError: A replacing kernel's alpha is not 1.
        """
        seed = self.seed(seed_idx)
        phase = advance(seed.phase, SeedEvent.FOSSILIZE)
        replacing = seed.mode is KernelMode.REPLACING
        if replacing and seed.alpha != 1.0:
            raise AlphaError(
                f"seed {seed_idx} of layer '{self.name}' replaces the host but its alpha is "
                f"{seed.alpha}; bring it to 1.0 before fossilising, or cull it"
            )
        first = self.order[0] == seed_idx
        self._enter_phase(seed, phase)
        may_fold = not (seed.frozen or self.host_dropped)
        if may_fold and (first or replacing) and self.fold(seed):
            self._release(seed)
            if replacing:
                self._supersede(seed_idx)
            self.order.remove(seed_idx)
        elif replacing:
            self._supersede(seed_idx)
            self.drop_host()
        self._refresh()

    def cull(self, seed_idx: int, *, embargo_until: int = 0) -> None:
        """Remove a seed's kernel; the slot is DORMANT again and the layer as if it had never been.

        Args:
            seed_idx: Slot whose seed is ALLOCATED, LOADING, TRAINING, GRAFTING or ERROR_RECOVERY.
            embargo_until: Step before which the slot is not to be used, kept in `Seed`.

        Raises:
            SeedIndexError: No such slot.
            IllegalTransitionError: The slot is DORMANT, or its kernel is a fossil.
        """
        seed = self.seed(seed_idx)
        self._advance(seed, SeedEvent.CULL)
        self._leave_order(seed_idx)
        self._write_alpha(seed, 0.0)
        self._advance(seed, SeedEvent.RELEASE)
        self._release(seed)
        self._advance(seed, SeedEvent.REST)
        clean = Seed(seed_idx, embargo_until=embargo_until)
        for name in Seed.__slots__:
            setattr(seed, name, getattr(clean, name))
        self.state.clear(seed_idx)
        self._refresh()

    def isolate(self, seed_idx: int) -> None:
        """Take a failing kernel out of the forward pass (TRAINING or GRAFTING to ERROR_RECOVERY).

        The kernel stays registered, with its weights, until it is retried or culled.
        """
        seed = self.seed(seed_idx)
        self._advance(seed, SeedEvent.FAIL)
        self._leave_order(seed_idx)
        self._write_alpha(seed, 0.0)

    def on_isolate(self, failure: KernelFailure) -> None:
        """Follow the executor, whose `on_isolate` this is, in isolating a seed.

        A fossil keeps its phase, from which no move leads: the executor bypasses it and counts.
        """
        seed = self.seed(failure.seed_index)
        seed.strikes = failure.strikes
        if seed.phase in {SeedPhase.TRAINING, SeedPhase.GRAFTING}:
            self.isolate(failure.seed_index)

    def retry(self, seed_idx: int) -> None:
        """Give an isolated kernel another chance: TRAINING at alpha 0, no strikes."""
        seed = self.seed(seed_idx)
        self._advance(seed, SeedEvent.RETRY)
        seed.strikes = 0
        if self.executor is not None:
            self.executor.reinstate(seed_idx)
        self._write_alpha(seed, 0.0)

    # Under the moves -------------------------------------------------------------------------------

    def fold(self, seed: Seed) -> bool:
        """Fold a kernel into the host's weights if algebra allows; return whether it did."""
        # A subclass of a host type may do something else with its weights.
        if seed.kernel is None or plain_class(self.host) not in HOSTS:
            return False
        return self.kind.fold(self.host, seed.kernel, seed.mode, seed.alpha)

    def drop_host(self) -> None:
        """Release the host's parameters and buffers; attributes such as `in_features` stay."""
        drop_parameters(self.host)
        self.kind.forget_dropped(self.host)
        self.host_dropped = True

    def _advance(self, seed: Seed, event: SeedEvent) -> None:
        self._enter_phase(seed, advance(seed.phase, event))

    def _enter_phase(self, seed: Seed, phase: SeedPhase) -> None:
        seed.phase = phase
        self.state.write(seed.index, phase=phase)

    def _write_alpha(self, seed: Seed, alpha: float) -> None:
        seed.alpha = alpha
        self.state.write(seed.index, alpha=alpha)
        self._refresh()

    def _leave_order(self, seed_idx: int) -> None:
        if seed_idx in self.order:
            self.order.remove(seed_idx)

    def _supersede(self, seed_idx: int) -> None:
        """Release fossils that came before a replacing one: nothing they compute is used."""
        order = self.order
        for earlier in order[: order.index(seed_idx)]:
            seed = self._seeds[earlier]
            if seed.phase is SeedPhase.FOSSILIZED:
                self._release(seed)
                order.remove(earlier)

    def _prepare(self, kernel: nn.Module) -> None:
        like = reference_tensor(self.host)
        like = self._like if like is None else like
        kernel.to(device=like.device, dtype=like.dtype)
        if self.geometry is not None:
            check_kernel(kernel, self.geometry, f"layer '{self.name}'")
        kernel.train(self.host.training)

    def _register(self, seed: Seed, kernel: nn.Module) -> None:
        kernels = self.kernels
        if kernels is None:
            kernels = nn.ModuleDict().train(self.host.training)
            self.host.add_module(self.store, kernels)
        kernels[str(seed.index)] = kernel
        seed.kernel = kernel

    def _release(self, seed: Seed) -> None:
        seed.kernel = None
        kernels = self.kernels
        if kernels is not None and str(seed.index) in kernels:
            del kernels[str(seed.index)]
            if not kernels:
                delattr(self.host, self.store)

    def _refresh(self) -> None:
        """Work out what the forward pass runs, and leave no trace if that is the host alone."""
        branches: list[Branch] = []
        seeds = self._seeds
        registered = [
            Branch(i, str(i), seeds[i].mode, _is_full(seeds[i]))
            for i in self.order
            if seeds[i].alpha > 0.0
        ]
        for branch in [*registered, *self._substitutes]:
            if branch.full:
                branches.clear()
            branches.append(branch)
        self.live = tuple(branches)
        self.host._esper.refresh(self.host)


def _is_full(seed: Seed) -> bool:
    return seed.mode is KernelMode.REPLACING and seed.alpha == 1.0
