"""MorphableModel: a model whose layers can carry kernels, and every change that can be made to it.

Made by :func:`esper.core.model_wrapper.wrap`. It behaves as the plain model does: parameter names and
`state_dict` keys are the plain model's, attributes that it does not have itself are looked up on
the wrapped model. Structure changes only at a step boundary, between `optimizer.step()` and the
next forward pass, and each change is made as a whole (layer and attached optimizers) or not at all.

Long because a user finds every documented method of the model in one class.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling
from torch.nn.modules import module as hooks
from torch.optim import Optimizer

from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ConfigError, KernelNotFoundError, LayerNotFoundError
from esper.contracts.lifecycle import SeedPhase
from esper.core.attached import AttachedOptimizers
from esper.core.kernel_guard import Isolations, guard
from esper.core.kernel_supply import KernelSupply
from esper.core.meter import Meter
from esper.core.model_comparison import compare
from esper.core.optimizer import isolate_scheduler
from esper.core.plain_names import PREFIX, WRAPPED, add_prefix, strip_prefix
from esper.core.single_process import check_single_process
from esper.core.transaction import transaction
from esper.execution.artifact import KernelArtifact
from esper.execution.kasmina_layer import KasminaLayer
from esper.utils.nearest import did_you_mean

logger = logging.getLogger(__name__)

Change = Callable[["MorphableModel"], object]
"""A change of structure for later: `lambda model: model.set_seed_alpha("fc1", 0, 0.5)`."""

_DEFAULT_CACHE = 128 * 2**20  # bytes
_ISOLATIONS = 1000


class MorphableModel(nn.Module):
    """A PyTorch model whose layers can load, blend in, keep and drop kernels.

    Args:
        wrapped_model: The model, whose layers host kernels.
        kasmina_layers: The KasminaLayers of those layers, by qualified name.
        original_model: The model as it was before, for comparison. It is no submodule: its
            parameters are not this model's.
        supply: Where `load_kernel` finds kernels; default: the local store.

    Attributes:
        total_forward_calls: Forward passes so far; those of a compiled model are not counted.
        original_model: As given, or None.
        meter: Counts what is trained on while an orchestrator listens, or None.
        isolations: Layer and failure of each seed that was isolated; an orchestrator takes them out
            and tells of them. Without one the latest are kept.
    """

    wrapped_model: nn.Module
    original_model: nn.Module | None
    kasmina_layers: dict[str, KasminaLayer]

    def __init__(
        self,
        wrapped_model: nn.Module,
        kasmina_layers: dict[str, KasminaLayer],
        original_model: nn.Module | None = None,
        *,
        supply: KernelSupply | None = None,
    ) -> None:
        super().__init__()
        self.wrapped_model = wrapped_model
        self.training = wrapped_model.training
        self.total_forward_calls = 0
        # Straight into the instance: registered as submodules, both would show up in `parameters()`
        # and `state_dict()` a second time, and an nn.ModuleDict takes no names with dots.
        self.__dict__["kasmina_layers"] = dict(kasmina_layers)
        self.__dict__["original_model"] = original_model
        self._supply = KernelSupply(None, _DEFAULT_CACHE) if supply is None else supply
        self._optimizers = AttachedOptimizers()
        self._pending: list[Change] = []
        self._guarded: tuple[KasminaLayer, ...] = ()
        self.meter: Meter | None = None
        self.isolations: Isolations = deque(maxlen=_ISOLATIONS)
        self.register_state_dict_post_hook(strip_prefix)  # type: ignore[no-untyped-call]  # torch does not type it
        self.register_load_state_dict_pre_hook(add_prefix)  # type: ignore[no-untyped-call]  # torch does not type it

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the wrapped model; arguments and result are its own."""
        own = self.__dict__
        # Where nothing stands between a call and `forward`, nothing is asked twice: with a cold
        # cache each Python frame costs a microsecond, and a small model's step has some 600.
        if (
            own["_forward_pre_hooks"]
            or own["_forward_hooks"]
            or own["_backward_pre_hooks"]
            or own["_backward_hooks"]
            or hooks._global_forward_pre_hooks
            or hooks._global_forward_hooks
            or hooks._global_backward_pre_hooks
            or hooks._global_backward_hooks
            or "_compiled_call_impl" in own
            or "forward" in own  # set by libraries that wrap it
            or type(self) is not MorphableModel
            or is_dynamo_compiling()
        ):
            return super().__call__(*args, **kwargs)
        own["total_forward_calls"] += 1
        if own["meter"] is not None and own["training"]:
            own["meter"].note(args, kwargs)
        return own["_modules"][WRAPPED](*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the wrapped model; arguments and result are its own."""
        if not is_dynamo_compiling():
            self.__dict__["total_forward_calls"] += 1
            if self.meter is not None and self.training:
                self.meter.note(args, kwargs)
        return self._modules[WRAPPED](*args, **kwargs)  # type: ignore[misc]  # never None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == WRAPPED:  # copy and pickle ask before there is one
                raise
            return getattr(self.wrapped_model, name)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the parameters under the names that they have in the plain model."""
        for name, parameter in super().named_parameters(*args, **kwargs):
            yield name.replace(PREFIX, "", 1), parameter

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load what `state_dict` of this or of the plain model returned; as in torch.

        It is the wrapped model that loads: what it says about keys then has the right names, and
        its layers find the versions that they wrote.
        """
        return self.wrapped_model.load_state_dict(state_dict, strict, assign)

    def named_buffers(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers under the names that they have in the plain model."""
        for name, buffer in super().named_buffers(*args, **kwargs):
            yield name.replace(PREFIX, "", 1), buffer

    @property
    def morphogenetic_active(self) -> bool:
        """Whether any layer holds a kernel or has one for good."""
        return any(layer.live_seeds() for layer in self.kasmina_layers.values())

    async def load_kernel(self, layer_name: str, seed_idx: int, artifact_id: str | Path) -> bool:
        """Load a kernel into a slot; it is there at alpha 0 afterwards, ready to learn.

        Fetching and checking do not block the event loop; installing happens when they are done,
        so await it at a step boundary (or hand it over with :meth:`request`).

        Args:
            layer_name: Qualified name of the layer, as `named_modules()` spells it.
            seed_idx: Slot of that layer, from 0.
            artifact_id: Id of a kernel in the source (64 hexadecimal digits), or a file's path.

        Returns:
            True if the kernel was loaded; False, with a logged warning, if there is none.

        Raises:
            LayerNotFoundError: No such layer. It is a ValueError.
            SeedIndexError: No such slot.
            IllegalTransitionError: The slot is taken.
            ArtifactError: The bytes failed a check, or the trust policy refuses the kernel.
            KernelMismatchError: The kernel does not fit the layer.
            LibraryError: The source is a library, and that cannot serve.
            OptimizerError: An attached optimizer cannot follow.
        """
        layer = self.layer(layer_name)
        layer.seed(seed_idx)
        try:
            artifact = await self._supply.load(artifact_id, layer)
        except KernelNotFoundError as error:
            return _not_loaded(layer_name, seed_idx, error)
        return self._install_artifact(layer_name, seed_idx, artifact)

    def load_kernel_sync(self, layer_name: str, seed_idx: int, artifact_id: str | Path) -> bool:
        """Do what :meth:`load_kernel` does, for programs without an event loop."""
        layer = self.layer(layer_name)
        layer.seed(seed_idx)
        try:
            artifact = self._supply.load_sync(artifact_id, layer)
        except KernelNotFoundError as error:
            return _not_loaded(layer_name, seed_idx, error)
        return self._install_artifact(layer_name, seed_idx, artifact)

    async def unload_kernel(self, layer_name: str, seed_idx: int) -> bool:
        """Remove a slot's kernel; outputs are again bit-identical to the host's.

        Returns:
            True if there was a kernel; False, with a logged warning, if the slot was empty.

        Raises:
            LayerNotFoundError: No such layer. It is a ValueError.
            SeedIndexError: No such slot.
            IllegalTransitionError: The kernel is a fossil, which stays for good.
        """
        return self.unload_kernel_sync(layer_name, seed_idx)

    def unload_kernel_sync(self, layer_name: str, seed_idx: int) -> bool:
        """Do what `unload_kernel` does, without an event loop."""
        if self.layer(layer_name).seed(seed_idx).phase is SeedPhase.DORMANT:
            logger.warning("seed %d of layer '%s' holds no kernel to unload", seed_idx, layer_name)
            return False
        self.cull(layer_name, seed_idx)
        return True

    def install_kernel(
        self,
        layer_name: str,
        seed_idx: int,
        kernel: nn.Module,
        *,
        mode: KernelMode | str,
        ir: GraphIR | None = None,
        kernel_id: str | None = None,
        label: str = "",
    ) -> None:
        """Put a kernel module into a slot, and its parameters into the attached optimizer.

        Arguments and errors: `KasminaLayer.install`, OptimizerError, and ConfigError where
        `torch.distributed` runs with more than one process. Without `ir` the kernel
        works, but the model cannot be checkpointed.
        """
        check_single_process("A model that grows")
        self._change(
            layer_name,
            lambda layer: layer.install(
                seed_idx, kernel, mode=mode, ir=ir, kernel_id=kernel_id, label=label
            ),
        )

    def set_seed_alpha(self, layer_name: str, seed_idx: int, alpha: float) -> None:
        """Set the blending coefficient of a seed.

        Args:
            layer_name: Qualified name of the layer.
            seed_idx: Slot of that layer, from 0.
            alpha: From 0.0, the host alone, to 1.0, the kernel's full effect.

        Raises:
            LayerNotFoundError: No such layer.
            SeedIndexError: No such slot.
            AlphaError: `alpha` is not a number in [0, 1].
            IllegalTransitionError: The seed holds no kernel that could be blended.
        """
        self.layer(layer_name).set_alpha(seed_idx, alpha)

    def freeze(self, layer_name: str, seed_idx: int) -> None:
        """Train a seed's kernel no further; it goes on taking part, and optimizers keep its state.

        Errors are those of `KasminaLayer.freeze_kernel`, and LayerNotFoundError.
        """
        self.layer(layer_name).freeze_kernel(seed_idx)

    def fossilize(self, layer_name: str, seed_idx: int) -> None:
        """Make a kernel part of the model for good; a host that it replaces is dropped.

        Errors are those of `KasminaLayer.fossilize`, and OptimizerError.
        """
        self._change(layer_name, lambda layer: layer.fossilize(seed_idx), values=True)

    def cull(self, layer_name: str, seed_idx: int, *, embargo_until: int = 0) -> None:
        """Remove a seed's kernel from the layer and the attached optimizers.

        Errors are those of `KasminaLayer.cull`, and OptimizerError.
        """
        self._change(layer_name, lambda layer: layer.cull(seed_idx, embargo_until=embargo_until))

    def attach_optimizer(
        self, optimizer: Optimizer, *, scheduler: Any = None, **options: Any
    ) -> None:
        """Let an optimizer follow: kernels' parameters join it, and leave it, as they come and go.

        Args:
            optimizer: Built from this model's parameters.
            scheduler: A torch scheduler of that optimizer; it goes on driving the groups that it
                knows, and only those.
            options: What grown parameters get in it (`lr`, `weight_decay`, …); default: the
                optimizer's own defaults.

        Raises:
            OptimizerError: Unknown option, or a scheduler of another optimizer.
        """
        if scheduler is not None:
            isolate_scheduler(scheduler, optimizer)
        self._optimizers.attach(optimizer, options)

    def detach_optimizer(self, optimizer: Optimizer) -> None:
        """Stop changing an optimizer. It keeps what it holds."""
        self._optimizers.detach(optimizer)

    def request(self, change: Change) -> None:
        """Queue a change for the next :meth:`apply_pending`. May be called from any thread."""
        self._pending.append(change)

    def apply_pending(self) -> int:
        """Make all queued changes in order, or none: if one raises, all are undone.

        Call it once per step, between `optimizer.step()` and the next forward pass. The queue is
        empty afterwards in either case. The executors of live kernels are polled too, which books
        failures that were counted on the device.

        Returns:
            The number of changes that were made.
        """
        changes = self._pending
        if changes:
            self._pending = []
            with transaction(self.kasmina_layers.values(), self._optimizers, values=True):
                for change in changes:
                    change(self)
        for layer in self._guarded:
            if layer.live and layer.executor is not None:
                layer.executor.poll()
        return len(changes)

    def note_guards(self) -> None:
        """Look again which layers have an executor: at every step only these are asked."""
        layers = self.kasmina_layers.values()
        self._guarded = tuple(layer for layer in layers if layer.executor is not None)

    def layer(self, layer_name: str) -> KasminaLayer:
        """Return a KasminaLayer by its qualified name.

        Raises:
            LayerNotFoundError: No such layer; the message names the nearest. It is a ValueError.
        """
        try:
            return self.kasmina_layers[layer_name]
        except KeyError:
            raise LayerNotFoundError(
                f"no layer '{layer_name}' can carry kernels in this model. "
                f"{did_you_mean(str(layer_name), self.kasmina_layers)}"
            ) from None

    def get_layer_names(self) -> list[str]:
        """Return the qualified names of the layers that can carry kernels, in model order."""
        return list(self.kasmina_layers)

    def get_layer_stats(self, layer_name: str | None = None) -> dict[str, Any]:
        """Return the statistics of one layer, or of all by name.

        Raises:
            LayerNotFoundError: No such layer.
        """
        if layer_name is not None:
            return _layer_stats(self.layer(layer_name))
        return {name: _layer_stats(layer) for name, layer in self.kasmina_layers.items()}

    def get_model_stats(self) -> dict[str, Any]:
        """Return the statistics of the model and, under `layer_stats`, of its layers."""
        stats = self.get_layer_stats()
        return {
            "total_forward_calls": self.total_forward_calls,
            "morphogenetic_active": self.morphogenetic_active,
            "total_kasmina_layers": len(stats),
            "total_seeds": sum(layer["total_seeds"] for layer in stats.values()),
            "active_seeds": sum(layer["active_seeds"] for layer in stats.values()),
            "total_kernel_executions": sum(
                layer["total_kernel_executions"] for layer in stats.values()
            ),
            "layer_stats": stats,
        }

    def enable_telemetry(self, enabled: bool = True) -> None:
        """Let health probes measure all layers, or none."""
        for layer in self.kasmina_layers.values():
            layer.telemetry_enabled = enabled

    def compare_with_original(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run this model and the original on the same input and measure how far they are apart.

        Both run in eval mode without gradients; modes, buffers and random state are as before.

        Returns:
            `mse` and `max_absolute_difference` over all floating values of the output,
            `output_shape`, and `morphogenetic_active`.

        Raises:
            ConfigError: The original was not kept.
        """
        if self.original_model is None:
            raise ConfigError(
                "there is no original model to compare with: wrap with preserve_original=True "
                "and inplace=False."
            )
        result = compare(self.wrapped_model, self.original_model, args, kwargs)
        return {**result, "morphogenetic_active": self.morphogenetic_active}

    def _change(
        self, layer_name: str, change: Callable[[KasminaLayer], object], *, values: bool = False
    ) -> None:
        layer = self.layer(layer_name)
        before, beside = dict(self.named_parameters()), dict(layer.host.named_parameters())
        with transaction([layer], self._optimizers, values=values):
            change(layer)
            guard(layer, self.isolations)
            self.note_guards()
            after = dict(self.named_parameters())
            self._optimizers.follow(before, after, beside=beside)

    def _install_artifact(self, layer_name: str, seed_idx: int, artifact: KernelArtifact) -> bool:
        metadata = artifact.metadata
        self.install_kernel(
            layer_name,
            seed_idx,
            artifact.build(),
            mode=metadata.mode,
            ir=artifact.ir,
            kernel_id=metadata.kernel_id,
            label=metadata.blueprint,
        )
        return True


def _layer_stats(layer: KasminaLayer) -> dict[str, Any]:
    stats = layer.get_layer_stats()
    seeds = {key: value for key, value in stats.items() if key.endswith("_seeds")}
    return {**stats, "state_stats": seeds}


def _not_loaded(layer_name: str, seed_idx: int, error: KernelNotFoundError) -> bool:
    logger.warning("seed %d of layer '%s' got no kernel: %s", seed_idx, layer_name, error)
    return False
