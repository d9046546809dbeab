"""Keeps a run's state on disk: checkpoints that go with the log, and coming back from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from esper.contracts.errors import CheckpointError, TrainingError
from esper.core import checkpoint
from esper.services.tolaria.run_folder import CHECKPOINT, LOG, RunFolder, resume_command
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session


class Keeper:
    """Saves a session's state into its run folder.

    Args:
        session: what is trained.
        folder: where to.
        progress: how far it is.
        log: the run log; a checkpoint notes its length.
        write: takes records for it.
    """

    def __init__(
        self,
        session: Session,
        folder: RunFolder,
        progress: Progress,
        log: RunLog,
        write: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._session = session
        self._progress = progress
        self._log = log
        self._write = write
        self.path = folder / CHECKPOINT
        self._resume = resume_command(folder.path)
        self.saved_step: int | None = progress.step if self.path.exists() else None
        """Step of the checkpoint on disk, or ``None``."""

    def save(self) -> None:
        """Write a checkpoint, after everything that the log holds.

        Raises:
            CheckpointError: the disk is full or failing. The checkpoint before is intact.
        """
        session = self._session
        try:
            self._log.sync()
            checkpoint.save(
                self.path,
                model=session.model,
                optimizer=session.optimizer,
                scheduler=session.scheduler,
                orchestrator=session.orchestrator,
                extra={"progress": self._progress.state_dict(), "log": self._log.length},
            )
        except (CheckpointError, TrainingError) as error:
            raise CheckpointError(f"{error} {self._what_is_safe()}") from error
        self.saved_step = self._progress.step

    def save_if_possible(self) -> None:
        """Write a checkpoint; where the disk does not let it, note that and let training go on.

        The next one is tried in its turn, and the one at the end of the run must succeed.
        """
        try:
            self.save()
        except CheckpointError as error:
            self._write(
                {"type": "checkpoint_failed", "step": self._progress.step, "error": str(error)}
            )

    def _what_is_safe(self) -> str:
        if self.saved_step is None:
            return "There is no checkpoint yet."
        return f"The checkpoint of step {self.saved_step} is intact: make room, then {self._resume}"


def saved_state(folder: RunFolder) -> checkpoint.Checkpoint | None:
    """The folder's checkpoint, or ``None`` where the run was broken off before the first.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder / CHECKPOINT
    return checkpoint.load(path) if path.exists() else None


def open_log(folder: RunFolder, state: checkpoint.Checkpoint | None) -> RunLog:
    """The run log, cut back to where ``state`` was saved.

    Raises:
        TrainingError: it cannot be opened, or was changed since.
    """
    return RunLog(folder / LOG, length=0 if state is None else int(_extra(state)["log"]))


def restore(session: Session, state: checkpoint.Checkpoint | None) -> Progress:
    """Put a session that is at step 0 into a saved state.

    Returns:
        How far it is; step 0 without a state.

    Raises:
        CheckpointError: the state is of another model.
        OptimizerError: the state is of another optimizer.
    """
    if state is None:
        return Progress()
    checkpoint.restore(
        state,
        model=session.model,
        optimizer=session.optimizer,
        scheduler=session.scheduler,
        orchestrator=session.orchestrator,
    )
    return Progress.from_state(_extra(state)["progress"])


def _extra(state: checkpoint.Checkpoint) -> dict[str, Any]:
    if state.extra is None or "progress" not in state.extra:
        raise CheckpointError(
            "the checkpoint was not written by a training run: it does not say how far the run was"
        )
    return state.extra
