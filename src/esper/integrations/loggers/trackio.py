"""TrackioLogger: Trackio's database on this machine."""

from __future__ import annotations

from typing import Any

from esper.utils import extras


class TrackioLogger:
    """Writes a run for Trackio; look at it with `trackio show`. Needs the extra `trackio`.

    Runs lie where Trackio keeps them on this machine (`TRACKIO_DIR`), unless its own variables
    `TRACKIO_SPACE_ID` or `TRACKIO_SERVER_URL` name another place.

    Args:
        project: That the run belongs to.
        name: Of the run; one of the same name is gone on with. None lets Trackio think of one.

    Raises:
        ConfigError: Trackio is not installed.
    """

    def __init__(self, project: str = "esper", *, name: str | None = None) -> None:
        self._trackio: Any = extras.load("trackio")
        self._project, self._name = project, name
        self._settings: dict[str, Any] = {}
        self._run: Any = None

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures of a step."""
        if self._run is None:
            self._run = self._trackio.init(
                project=self._project,
                name=self._name,
                config=self._settings,
                resume="never" if self._name is None else "allow",
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
