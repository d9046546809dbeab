"""WandbLogger: Weights & Biases, offline unless somebody asks for more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from esper.integrations.loggers.logger import KnownRun
from esper.utils import extras

OFFLINE = "offline"


class WandbLogger:
    """Writes a run for Weights & Biases. Needs the extra `wandb`.

    Nothing leaves the machine unless `WANDB_MODE=online` is set or `mode` says so; `wandb sync`
    uploads later what was written offline. Reports of errors to the maker of the package are off
    unless `WANDB_ERROR_REPORTING` is set.

    Args:
        project: That the run belongs to.
        run_folder: Folder of a run of Esper's: W&B's folder `wandb` is made there, and the run
            keeps its name and identity, so that a resumed one goes on under it. None takes the
            working directory, and lets W&B think of a name.
        mode: `offline`, `online` or `disabled`; None takes `WANDB_MODE`, or else `offline`.

    Raises:
        ConfigError: W&B is not installed.
    """

    def __init__(
        self,
        project: str = "esper",
        *,
        run_folder: str | os.PathLike[str] | None = None,
        mode: str | None = None,
    ) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._wandb: Any = extras.load("wandb")
        self._project, self._folder = project, run_folder
        self._mode = mode or os.environ.get("WANDB_MODE", OFFLINE)
        self._run: Any = None

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures over `step`, in whatever order they come."""
        known = {} if step is None else {"step": step}
        self._begun().log({**metrics, **known})

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Set the run's configuration."""
        self._begun().config.update(params, allow_val_change=True)

    def finalize(self, status: str) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish(exit_code=0 if status == "success" else 1)
            self._run = None

    def _begun(self) -> Any:
        if self._run is None:
            known, where = KnownRun.of(self._folder), Path(self._folder or ".")
            where.mkdir(parents=True, exist_ok=True)
            self._run = self._wandb.init(
                project=self._project,
                name=known.name,
                id=known.run_id,
                dir=os.fspath(where),
                mode=self._mode,
                # Offline, W&B resumes nothing and warns: parts of one id meet when they are synced.
                resume="allow" if known.run_id and self._mode != OFFLINE else None,
                # A run that the program has open by itself is none of our business.
                reinit="create_new",
                settings=self._wandb.Settings(console="off", silent=True),
            )
            # W&B ignores what is logged for a step that lies behind; over a metric it does not.
            self._run.define_metric("*", step_metric="step")
        return self._run
