from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from esper.contracts.records import parse_record
from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.mlflow import RUN_ID_TAG, MlflowLogger
from support import logged_runs

# MLflow's own tables use an option that newer versions of SQLAlchemy are about to drop, and its
# connections are closed by the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow makes the folder of its artifacts
        yield f"sqlite:///{folder / 'mlflow.db'}"


def log(uri: str, run_id: str, *lines: logged_runs.Line) -> None:
    folder = logged_runs.begun(Path(uri.removeprefix("sqlite:///")).parent / "first", run_id)
    logger = MlflowLogger("growing", tracking_uri=uri, run_folder=folder)
    with LoggerFeed(logger) as feed:
        for line in lines:
            feed(parse_record(line))
    assert (feed.failures, feed.dropped) == (0, 0)


def runs(uri: str, run_id: str) -> list[Any]:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("growing")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.`{RUN_ID_TAG}` = '{run_id}'")
    return list(found)


def history(uri: str, run: Any, name: str) -> list[tuple[int, float]]:
    points = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


def test_mlflow_gives_back_settings_figures_and_end(uri: str) -> None:
    log(uri, "whole", *logged_runs.lines())
    (run,) = runs(uri, "whole")
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["config/optimizer/lr"] == "0.01"
    assert run.data.metrics["test_metric"] == 0.9
    assert history(uri, run, "train_loss") == [(10, 1.0), (20, 0.5)]


def test_a_name_that_mlflow_refuses_is_written_with_underscores(uri: str) -> None:
    log(uri, "names", logged_runs.step(20, 0.5))
    (run,) = runs(uri, "names")
    assert run.data.metrics["alpha/net.0_0"] == 0.5


def test_a_resumed_run_goes_on_in_the_run_that_was_begun(uri: str) -> None:
    interrupted = {"type": "interrupted", "step": 15, "signal": 2}
    log(uri, "resumed", logged_runs.START, logged_runs.step(10, 1.0), interrupted)
    (run,) = runs(uri, "resumed")
    assert run.info.status == "FAILED"
    log(
        uri,
        "resumed",
        {"type": "resume", "step": 15, "environment": {}},
        logged_runs.step(20, 0.5),
        logged_runs.END,
    )
    (run,) = runs(uri, "resumed")
    assert run.info.status == "FINISHED"
    assert history(uri, run, "train_loss") == [(10, 1.0), (20, 0.5)]
