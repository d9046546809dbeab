"""The trainer: one run from its settings to its result, whatever happens to the process.

`TolariaTrainer.run` is the whole story: claim the folder, put the session together, go on from
the checkpoint if there is one, train (`loop.py`), and bring the run to its end (`outcome.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from esper.contracts.errors import ConfigError
from esper.contracts.ports import KernelLibrary, Publisher, TelemetrySink
from esper.core.durable_file import write_durably
from esper.data.bundle import DataBundle
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.orchestration.nursery import Nursery
from esper.services.tolaria.config_file import write_yaml
from esper.services.tolaria.exchange import KernelChoice
from esper.services.tolaria.first_lines import resume_record, start_record
from esper.services.tolaria.identity import claim
from esper.services.tolaria.keeper import Keeper, open_log, restore, saved_state
from esper.services.tolaria.log_sink import LogSink
from esper.services.tolaria.loop import TrainingLoop
from esper.services.tolaria.orders import Orders
from esper.services.tolaria.outcome import (
    close_growth,
    closing_result,
    earlier_result,
    interrupted_result,
)
from esper.services.tolaria.result import RunResult
from esper.services.tolaria.run_control import Control
from esper.services.tolaria.run_folder import CONFIG, RunFolder, saved_config
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session, begin
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.telemetry import OnEvent, Telemetry
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils.run_identity import RunIdentity


class TolariaTrainer:
    """Trains one model, and grows it as it trains.

    Args:
        config: the settings.
        resume: go on with the run that lies in ``config.output``; see also :meth:`resuming`.
        on_event: shown every record of the run log, on the training thread.
        sinks: receive growth events as models.
        publisher: sends every record of the run log to whoever follows the run.
        control: brings commands for the run, which are carried out at step boundaries.
        bundle: the data, where the caller has it at hand; ``config.data`` is its name then.
        library: asked for kernels before the run, as ``config.library`` says. What the run has for
            it at the end lies in the folder's outbox (`outbox.deliver`).
        cache: what kernels are loaded through, whose policy says which are taken; by default one
            before the library, or where there is none, before this machine's kernel store.
        nursery: holds the races where ``config.nursery`` is ``process``.
        stop: asked at every step boundary; SIGINT and SIGTERM are noted in it while the run lasts.
        clock: seconds, never running backwards.

    Raises:
        ConfigError: races are to be held elsewhere, and there is no nursery.

    Example:
        >>> config = TolariaConfig(data="mnist1d", output=Path("runs/first"))
        >>> result = TolariaTrainer(config).run()  # doctest: +SKIP
        >>> result.test_metric  # doctest: +SKIP
        0.915
    """

    def __init__(
        self,
        config: TolariaConfig,
        *,
        resume: bool = False,
        on_event: OnEvent | None = None,
        sinks: Sequence[TelemetrySink] = (),
        publisher: Publisher | None = None,
        control: Control | None = None,
        bundle: DataBundle | None = None,
        library: KernelLibrary | None = None,
        cache: KernelCache | None = None,
        nursery: Nursery | None = None,
        stop: StopRequest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._resume = resume
        self._on_event = on_event
        self._sinks = tuple(sinks)
        self._publisher = publisher
        self._control = control
        self._bundle = bundle
        self._library = library
        self._cache = cache or KernelCache(LocalKernelStore() if library is None else library)
        self._nursery = _wanted(nursery, config)
        self._stop = StopRequest() if stop is None else stop
        self._clock = clock

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
        with RunFolder(self.config.output, resume=self._resume) as folder, self._stop:
            ended = earlier_result(folder)
            if ended is not None:
                return ended
            return self._run_in(folder)

    def _run_in(self, folder: RunFolder) -> RunResult:
        # Settings and data are tried before the folder is taken: a mistake leaves no run behind.
        bridge, source = LogSink(), self._kernels_of(folder)
        session = begin(
            self.config,
            bundle=self._bundle,
            sinks=(bridge, *self._sinks),
            kernels=source,
            cache=self._cache,
            nursery=self._nursery,
        )
        bridge.early.clear()
        state = saved_state(folder)
        progress = restore(session, state)
        if state is None:
            source.keep()
            write_durably(folder / CONFIG, write_yaml(self.config).encode())
        identity, log = claim(folder), open_log(folder, state)
        attempt = self._attempt(session, folder, progress, identity, log)
        telemetry = attempt.telemetry
        try:
            if state is None:
                telemetry.write(start_record(session))
            else:
                telemetry.write(resume_record(session, progress.step, identity.attempt))
            source.announce(telemetry.write)
            bridge.open(telemetry.write)
            if self._control is not None:
                fetch = partial(self._cache.load_sync, device=session.device)
                self._control.open(identity.run_id, progress.commands, fetch)
            return self._train(attempt)
        except BaseException as error:
            telemetry.fail(error)
            raise
        finally:
            telemetry.close()
            log.close()

    def _attempt(
        self,
        session: Session,
        folder: RunFolder,
        progress: Progress,
        identity: RunIdentity,
        log: RunLog,
    ) -> _Attempt:
        telemetry = Telemetry(
            log,
            identity,
            folder.path,
            progress,
            on_event=self._on_event,
            publisher=self._publisher,
            clock=self._clock,
        )
        return _Attempt(
            session=session,
            folder=folder,
            progress=progress,
            keeper=Keeper(session, folder, progress, log, telemetry.write),
            telemetry=telemetry,
            orders=Orders(session, progress, self._control, telemetry, self._stop),
        )

    def _kernels_of(self, folder: RunFolder) -> KernelChoice:
        """Where the run's kernels come from: the library for a new one, else its folder."""
        library = None if (folder / CONFIG).exists() else self._library
        limit = self.config.library.enter
        return KernelChoice(folder.path, self.config.growth, library, limit, self._cache)

    def _train(self, attempt: _Attempt) -> RunResult:
        session, progress, keeper = attempt.session, attempt.progress, attempt.keeper
        begun, before = self._clock(), progress.seconds

        def save() -> None:
            progress.seconds = before + self._clock() - begun
            keeper.save_if_possible()
            if keeper.saved_step == progress.step:
                attempt.orders.settle()

        TrainingLoop(
            session,
            progress,
            write=attempt.telemetry.write,
            save=save,
            orders=attempt.orders,
            is_stopped=lambda: self._stop.is_asked,
        ).run()
        progress.seconds = before + self._clock() - begun
        is_over = progress.stopped_early or progress.step >= session.plan.steps
        signum = self._stop.signum
        if signum is None or is_over:
            return self._ended(attempt)
        return self._interrupted(attempt, signum)

    def _ended(self, attempt: _Attempt) -> RunResult:
        session, folder, progress = attempt.session, attempt.folder, attempt.progress
        write = attempt.telemetry.write
        attempt.orders.end()
        if not progress.is_closed:
            closed = close_growth(session, progress, folder, attempt.telemetry.run_id)
            if closed is not None:
                write(closed.model_dump(mode="json"))
            progress.is_closed = True
            attempt.keeper.save()
        result = closing_result(session, progress, folder)
        write({"type": "end", "step": progress.step, "result": result.model_dump(mode="json")})
        attempt.orders.settle()
        if self._control is not None:
            self._control.end()
        return result

    def _interrupted(self, attempt: _Attempt, signum: int) -> RunResult:
        """Leave a checkpoint to go on from, if the state is fit for one."""
        progress, keeper = attempt.progress, attempt.keeper
        if keeper.saved_step != progress.step and progress.bad_since is None:
            keeper.save()
        if keeper.saved_step == progress.step:
            attempt.orders.settle()
        result = interrupted_result(attempt.session, progress, attempt.folder, signum)
        reason = self._stop.reason
        asked = {"signal": signum} if reason is None else {"reason": reason}
        attempt.telemetry.write({"type": "interrupted", "step": progress.step, **asked})
        return result


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """What an attempt at a run is made of, once it has begun."""

    session: Session
    folder: RunFolder
    progress: Progress
    keeper: Keeper
    telemetry: Telemetry
    orders: Orders


def _wanted(nursery: Nursery | None, config: TolariaConfig) -> Nursery | None:
    if config.nursery == "inline" or not config.grow:
        return None
    if nursery is None:
        raise ConfigError(
            "nursery is 'process', but the trainer was given none: pass nursery=ProcessNursery() "
            "(esper.services.tezzeret.nursery_server), or set nursery to 'inline'"
        )
    return nursery
