"""The trainer: one run from its settings to its result, whatever happens to the process.

`TolariaTrainer.run` is the whole story: claim the folder, put the session together, go on from
the checkpoint if there is one, train (`run.py`), and bring the run to its end (`outcome.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from esper.contracts.errors import ConfigError
from esper.contracts.ports import KernelLibrary, Publisher, TelemetrySink
from esper.contracts.records import RunEnded, RunInterrupted
from esper.core.durable_file import write_durably
from esper.data.bundle import DataBundle
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.orchestration.nursery import Nursery
from esper.services.tolaria.exchange import KernelChoice
from esper.services.tolaria.outcome import (
    close_growth,
    closing_result,
    earlier_result,
    result_of,
)
from esper.services.tolaria.result import RunResult, RunStatus
from esper.services.tolaria.run import Run, log_length, restore
from esper.services.tolaria.run_control import Control
from esper.services.tolaria.run_folder import CONFIG, LOG, RunFolder, resume_command, saved_config
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.session import begin, resumed, started
from esper.services.tolaria.signals import StopRequest, exit_status
from esper.services.tolaria.telemetry import OnEvent, Telemetry
from esper.services.tolaria.training_config import TolariaConfig, write_yaml


@dataclass(eq=False)
class TolariaTrainer:
    """Trains one model, and grows it as it trains.

    Raises:
        ConfigError: races are to be held elsewhere, and there is no nursery.

    Example:
        >>> config = TolariaConfig(data="mnist1d", output=Path("runs/first"))
        >>> result = TolariaTrainer(config).run()  # doctest: +SKIP
        >>> result.test_metric  # doctest: +SKIP
        0.915
    """

    config: TolariaConfig
    """The settings."""
    _: KW_ONLY
    resume: bool = False
    """Go on with the run that lies in ``config.output``; see also :meth:`resuming`."""
    on_event: OnEvent | None = None
    """Shown every record of the run log, on the training thread."""
    sinks: Sequence[TelemetrySink] = ()
    """Receive growth events as models."""
    publisher: Publisher | None = None
    """Sends every record of the run log to whoever follows the run."""
    control: Control = field(default_factory=Control)
    """Brings commands for the run, which are carried out at step boundaries."""
    bundle: DataBundle | None = None
    """The data, where the caller has it at hand; ``config.data`` is its name then."""
    library: KernelLibrary | None = None
    """Asked for kernels before the run, as ``config.library`` says. What the run has for it at the
    end lies in the folder's outbox (`outbox.deliver`)."""
    cache: KernelCache | None = None
    """What kernels are loaded through, whose policy says which are taken; by default one before
    the library, or where there is none, before this machine's kernel store."""
    nursery: Nursery | None = None
    """Holds the races where ``config.nursery`` is ``process``."""
    stop: StopRequest = field(default_factory=StopRequest)
    """Asked at every step boundary; signals are noted in it while the run lasts."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, never running backwards."""

    def __post_init__(self) -> None:
        if self.config.nursery == "inline" or not self.config.grow:
            self.nursery = None
        elif self.nursery is None:
            raise ConfigError(
                "nursery is 'process', but the trainer was given none: pass "
                "nursery=ProcessNursery() (esper.services.tezzeret.nursery_server), or set "
                "nursery to 'inline'"
            )

    @classmethod
    def resuming(cls, folder: Path, **options: Any) -> Self:
        """A trainer that goes on with the run in ``folder``, with the settings saved there.

        Args:
            folder: the run's output folder; it may have been moved.
            options: further arguments of the constructor.

        Raises:
            RunFolderError: the folder holds no run.
        """
        return cls(saved_config(folder), resume=True, **options)

    def run(self) -> RunResult:
        """Train to the end, or until a signal asks to stop.

        A run that has ended already is not trained again: its result is returned.

        Returns:
            The closing figures. ``status`` and ``exit_status`` say whether a signal stopped it.

        Raises:
            RunFolderError: the output folder holds another run, or none to resume.
            ConfigError: the settings do not fit the data or the machine.
            DataError: the data cannot be had.
            DivergenceError: the loss is not finite and stayed so.
            CheckpointError: a file that the run cannot do without could not be written; the
                checkpoint before it is intact.
        """
        with RunFolder(self.config.output, resume=self.resume) as folder, self.stop:
            return earlier_result(folder) or self._run_in(folder)

    def _run_in(self, folder: RunFolder) -> RunResult:
        telemetry = Telemetry(on_event=self.on_event, publisher=self.publisher, clock=self.clock)
        library = None if (folder / CONFIG).exists() else self.library
        kernels = KernelChoice(folder.path, self.config, library, self._cache)
        # Settings and data are tried before the folder is taken: a mistake leaves no run behind.
        session = begin(
            self.config,
            bundle=self.bundle,
            sinks=(telemetry, *self.sinks),
            kernels=kernels,
            cache=self._cache,
            nursery=self.nursery,
        )
        state = folder.saved_state()
        progress = restore(session, state)
        if state is None:
            kernels.keep()
            write_durably(folder / CONFIG, write_yaml(self.config).encode())
        identity = folder.claim()
        with RunLog(folder / LOG, length=log_length(state)) as log, telemetry:
            if state is None:
                first = [started(session), *kernels.found()]
            else:
                first = [resumed(session, progress.step, identity.attempt)]
            telemetry.open(log, identity, progress, first)
            fetch = partial(self._cache.load_sync, device=session.device)
            self.control.open(identity.run_id, progress.commands, fetch)
            run = Run(session, progress, log, telemetry, self.stop, self.control, self.clock)
            run.train()
            signum = self.stop.signum
            if signum is None or run.is_over:
                return self._ended(run, folder)
            return self._interrupted(run, folder, signum)

    @cached_property
    def _cache(self) -> KernelCache:
        if self.cache is not None:  # which may be empty, and false
            return self.cache
        return KernelCache(LocalKernelStore() if self.library is None else self.library)

    def _ended(self, run: Run, folder: RunFolder) -> RunResult:
        session, progress, telemetry = run.session, run.progress, run.telemetry
        run.orders.refuse_rest()
        run.count_time()
        if not progress.is_closed:
            closed = close_growth(session, progress, folder, telemetry.run_id)
            if closed is not None:
                telemetry.write(closed)
            progress.is_closed = True
            run.save()
        result = closing_result(session, progress, folder)
        telemetry.write(RunEnded(step=progress.step, result=result.model_dump(mode="json")))
        run.orders.settle()
        return result

    def _interrupted(self, run: Run, folder: RunFolder, signum: int) -> RunResult:
        """Leave a checkpoint to go on from, if the state is fit for one."""
        run.save_if_fit()
        run.count_time()
        result = result_of(
            run.session,
            run.progress,
            folder,
            RunStatus.INTERRUPTED,
            resume_command=resume_command(folder.path),
            exit_status=exit_status(signum),
        )
        reason = self.stop.reason
        signal = signum if reason is None else None
        run.telemetry.write(RunInterrupted(step=run.progress.step, signal=signal, reason=reason))
        return result
