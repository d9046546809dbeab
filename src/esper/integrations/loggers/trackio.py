"""TrackioLogger: Trackio's database on this machine."""

from __future__ import annotations

import os
from typing import Any

from esper.integrations.loggers.logger import KnownRun
from esper.utils import extras


class TrackioLogger:
    """Writes a run for Trackio; look at it with `trackio show`. Needs the extra `trackio`.

    Runs lie where Trackio keeps them on this machine (`TRACKIO_DIR`), unless its own variables
    `TRACKIO_SPACE_ID` or `TRACKIO_SERVER_URL` name another place.

    Args:
        project: That the run belongs to.
        run_folder: Folder of a run of Esper's: the run is named after it, with the beginning of
            its identity, and is gone on with when it is resumed. None lets Trackio think of a name.

    Raises:
        ConfigError: Trackio is not installed.
    """

    def __init__(
        self, project: str = "esper", *, run_folder: str | os.PathLike[str] | None = None
    ) -> None:
        self._trackio: Any = extras.load("trackio")
        self._project, self._folder = project, run_folder
        self._settings: dict[str, Any] = {}
        self._run: Any = None

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures of a step."""
        if self._run is None:
            known = KnownRun.of(self._folder)
            name = None if known.run_id is None else f"{known.name}-{known.run_id[:8]}"
            self._run = self._trackio.init(
                project=self._project,
                name=name,
                config=self._settings,
                resume="never" if name is None else "allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._run.log(metrics, step=step)

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Keep the settings: Trackio takes them when a run begins, with its first figures."""
        self._settings = params

    def finalize(self, status: str) -> None:
        """Have everything in the database, and end the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None
