"""Commanding: what somebody outside may do to the seeds of a run that grows by itself."""

from __future__ import annotations

from esper.contracts.enums import KasminaAction
from esper.contracts.errors import TrainingError
from esper.contracts.events import SeedCulled, SeedFossilized, SeedGerminated, SeedRetreated
from esper.contracts.messages import KasminaControlCommand
from esper.execution.artifact import KernelArtifact
from esper.execution.compatibility import check_compatible
from esper.execution.seed import Seed
from esper.orchestration.grafting import Grafting
from esper.orchestration.racing import Racing
from esper.orchestration.run import Run

_REASON = "a command asked for it"


class Commanding:
    """Carries out commands between two steps of a run, when nothing else goes on.

    While candidates race, the model that they were copied from must stay as it is; while a kernel
    is grafted, the governor may put the model back to what it was before.
    """

    def __init__(self, run: Run, racing: Racing, grafting: Grafting) -> None:
        self._run = run
        self._racing = racing
        self._grafting = grafting

    def may_begin(self, command: KasminaControlCommand) -> bool:
        """Whether the command can be carried out now, or must wait for a race or a graft.

        Raises:
            EsperError: There is no such seed, or the run itself is at work in its layer.
        """
        self._run.model.layer(command.layer_name).seed(command.seed_idx)
        claim = self._claim_on(command.layer_name)
        if claim is not None:
            raise TrainingError(claim)
        return self._racing.race is None and self._grafting.graft is None

    def _claim_on(self, layer_name: str) -> str | None:
        """What the run itself has begun in a layer, as a sentence; None if nothing."""
        race, graft = self._racing.race, self._grafting.graft
        if race is not None and any(entrant.slot == layer_name for entrant in race.entrants):
            end = race.start + race.most_rungs * race.full
            return (
                f"race {race.index} for layer '{layer_name}' is under way; it is decided by step "
                f"{end:,} at the latest: send the command again after that"
            )
        if graft is not None and graft.slot == layer_name:
            end = graft.start + graft.ramp + graft.settle
            return (
                f"{graft.standing.title} is being grafted into layer '{layer_name}' and is judged "
                f"at step {end:,}: send the command again after that"
            )
        return None

    def carry_out(
        self, command: KasminaControlCommand, kernel: KernelArtifact | None = None
    ) -> None:
        """Change the seed, and the optimizer with it, as a whole or not at all.

        Args:
            command: What to do; `may_begin` has said yes.
            kernel: What to load, where a kernel is to be loaded.

        Raises:
            EsperError: The command cannot be carried out; nothing was changed.
        """
        model, layer, seed_idx = self._run.model, command.layer_name, command.seed_idx
        seed = model.layer(layer).seed(seed_idx)
        match command.action:
            case KasminaAction.LOAD_KERNEL:
                assert kernel is not None  # who asks has fetched it
                self._load(command, kernel)
            case KasminaAction.SET_ALPHA:
                assert command.alpha is not None  # the command's own check
                self._set_alpha(command, seed, command.alpha)
            case KasminaAction.UNLOAD_KERNEL:
                self._remove(command, seed, embargo_until=0)
            case KasminaAction.CULL:
                cooldown = self._run.span(self._run.config.cooldown)
                self._remove(command, seed, embargo_until=self._run.step + cooldown)
            case KasminaAction.FREEZE:
                self._freeze(layer, seed)
            case KasminaAction.FOSSILIZE:
                self._fossilize(command, seed)
        self._run.remeasure()

    def _load(self, command: KasminaControlCommand, artifact: KernelArtifact) -> None:
        run, layer = self._run, self._run.layer(command.layer_name)
        check_compatible(artifact, layer)
        metadata, kernel = artifact.metadata, artifact.build()
        run.model.install_kernel(
            command.layer_name,
            command.seed_idx,
            kernel,
            mode=metadata.mode,
            ir=artifact.ir,
            kernel_id=artifact.kernel_id,
            label=metadata.blueprint,
        )
        run.emit(
            SeedGerminated(
                step=run.step,
                layer_name=command.layer_name,
                seed_idx=command.seed_idx,
                blueprint=metadata.blueprint,
                mode=metadata.mode,
                kernel_id=artifact.kernel_id,
                parameters=sum(p.numel() for p in kernel.parameters()),
            )
        )
        self._grafting.drive(kernel, command.layer_name, command.seed_idx)

    def _set_alpha(self, command: KasminaControlCommand, seed: Seed, alpha: float) -> None:
        run, before = self._run, seed.alpha
        run.model.set_seed_alpha(command.layer_name, command.seed_idx, alpha)
        if before > 0.0 and alpha == 0.0:
            run.emit(
                SeedRetreated(
                    step=run.step,
                    layer_name=command.layer_name,
                    seed_idx=command.seed_idx,
                    blueprint=seed.label,
                    reason=_REASON,
                )
            )

    def _remove(self, command: KasminaControlCommand, seed: Seed, *, embargo_until: int) -> None:
        run, label = self._run, seed.label
        run.model.cull(command.layer_name, command.seed_idx, embargo_until=embargo_until)
        self._grafting.forget_what_is_gone()
        run.emit(
            SeedCulled(
                step=run.step,
                layer_name=command.layer_name,
                seed_idx=command.seed_idx,
                blueprint=label,
                reason=_REASON,
            )
        )

    def _freeze(self, layer_name: str, seed: Seed) -> None:
        model = self._run.model
        kernel = set() if seed.kernel is None else set(seed.kernel.parameters())
        if not any(p.requires_grad and p not in kernel for p in model.parameters()):
            raise TrainingError(
                f"seed {seed.index} of layer '{layer_name}' holds all that still trains in this "
                "model: stop the run instead of freezing it"
            )
        model.freeze(layer_name, seed.index)

    def _fossilize(self, command: KasminaControlCommand, seed: Seed) -> None:
        run, label = self._run, seed.label
        run.model.fossilize(command.layer_name, command.seed_idx)
        self._grafting.forget_what_is_gone()
        run.emit(
            SeedFossilized(
                step=run.step,
                layer_name=command.layer_name,
                seed_idx=command.seed_idx,
                blueprint=label,
                host_dropped=run.layer(command.layer_name).host_dropped,
                parameters=run.parameters(),
            )
        )
