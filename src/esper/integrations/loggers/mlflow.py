"""MlflowLogger: an MLflow tracking server, or a database of MLflow's on this machine."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Final

from esper.integrations.loggers.figures import flat
from esper.integrations.loggers.logger import KnownRun
from esper.utils import extras

RUN_ID_TAG: Final = "esper.run_id"
"""Tag by which a run that is resumed is found again."""
_REFUSED: Final = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow does not take in a name."""
_METRICS_AT_ONCE: Final = 1000
_PARAMS_AT_ONCE: Final = 100
"""What MLflow takes in one batch."""


class MlflowLogger:
    """Writes a run for MLflow. Needs the extra `mlflow`.

    MLflow's reports about its use to its maker are off unless `MLFLOW_DISABLE_TELEMETRY` is set
    to `false`.

    Args:
        experiment: That the run belongs to; made if needed.
        tracking_uri: Where MLflow keeps runs: `http://...`, `sqlite:///mlflow.db`; None takes
            `MLFLOW_TRACKING_URI`, or else MLflow's own default.
        run_folder: Folder of a run of Esper's: MLflow's run is named like it, and when it is
            resumed, goes on in the one that was begun. None lets MLflow think of a name.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(
        self,
        experiment: str = "esper",
        *,
        tracking_uri: str | None = None,
        run_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._tracking: Any = extras.load("mlflow.tracking")
        self._entities: Any = extras.load("mlflow.entities")
        self._experiment, self._uri = experiment, tracking_uri
        self._folder = run_folder
        self._client: Any = None
        self._run = ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log figures; characters that MLflow refuses in names become `_`."""
        client, now = self._begun(), time.time_ns() // 1_000_000
        entries = [
            self._entities.Metric(_REFUSED.sub("_", name), value, now, step or 0)
            for name, value in metrics.items()
        ]
        for begin in range(0, len(entries), _METRICS_AT_ONCE):
            client.log_batch(self._run, metrics=entries[begin : begin + _METRICS_AT_ONCE])

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Log the settings as parameters."""
        client = self._begun()
        entries = [
            self._entities.Param(_REFUSED.sub("_", name), str(value))
            for name, value in flat(params).items()
        ]
        for begin in range(0, len(entries), _PARAMS_AT_ONCE):
            client.log_batch(self._run, params=entries[begin : begin + _PARAMS_AT_ONCE])

    def finalize(self, status: str) -> None:
        """End the run."""
        if self._client is not None:
            ended = "FINISHED" if status == "success" else "FAILED"
            self._client.set_terminated(self._run, ended)
            self._client = None

    def _begun(self) -> Any:
        if self._client is None:
            client = self._tracking.MlflowClient(tracking_uri=self._uri)
            found = client.get_experiment_by_name(self._experiment)
            experiment = (
                client.create_experiment(self._experiment) if found is None else found.experiment_id
            )
            known = KnownRun.of(self._folder)
            self._run = _earlier(client, experiment, known) or _new(client, experiment, known)
            self._client = client
        return self._client


def _earlier(client: Any, experiment: str, known: KnownRun) -> str | None:
    """The run that was begun for the same run of ours, open again; None if there is none."""
    if known.run_id is None:
        return None
    runs = client.search_runs([experiment], f"tags.`{RUN_ID_TAG}` = '{known.run_id}'")
    if not runs:
        return None
    run_id: str = runs[0].info.run_id
    client.update_run(run_id, status="RUNNING")
    return run_id


def _new(client: Any, experiment: str, known: KnownRun) -> str:
    tags = {} if known.run_id is None else {RUN_ID_TAG: known.run_id}
    run_id: str = client.create_run(experiment, run_name=known.name, tags=tags).info.run_id
    return run_id
