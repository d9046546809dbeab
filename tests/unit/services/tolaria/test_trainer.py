from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from esper.contracts.errors import CheckpointError, ConfigError, DivergenceError, RunFolderError
from esper.contracts.events import Event
from esper.contracts.growth import GrowthReport
from esper.contracts.records import LogEntry, StepLogged
from esper.core import checkpoint
from esper.services.tolaria.result import RunStatus
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.trainer import TolariaTrainer

Make = Callable[..., Any]
HERE = "unit.services.tolaria.sample_factories"


def log(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:  # a latency is measured, it does not repeat
        for signals in record.get("signals", []):
            del signals["execution_latency"]
    return [r for r in records if not kinds or r["type"] in kinds]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "checkpoint.pt").model


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def stopping_at(step: int) -> tuple[StopRequest, Callable[[LogEntry], None]]:
    """A request to stop that is made when the record of ``step`` is written."""
    stop = StopRequest()

    def on_event(record: LogEntry) -> None:
        if isinstance(record, StepLogged) and record.step == step:
            stop.ask()

    return stop, on_event


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes: a write behaves as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_run_leaves_its_files_and_figures(make: Make) -> None:
    seen: list[LogEntry] = []
    config = make()
    result = TolariaTrainer(config, on_event=seen.append).run()
    folder = config.output
    assert result.status is RunStatus.FINISHED
    assert (result.steps, result.exit_status, result.metric) == (40, 0, "accuracy")
    assert result.test_metric is not None
    assert result.test_metric > 0.8
    assert json.loads((folder / "result.json").read_bytes())["test_metric"] == result.test_metric
    written = log(folder)
    kinds = ["event" if isinstance(entry, Event) else entry.type for entry in seen]
    assert [r["type"] for r in written] == kinds
    assert [r["step"] for r in log(folder, "step")] == list(range(5, 41, 5))
    assert [r["step"] for r in log(folder, "eval")] == [10, 20, 30, 40]
    assert written[0]["type"] == "start"
    assert written[0]["split"]["train"] + written[0]["split"]["growth"] == 456
    assert written[-1]["result"]["test_metric"] == result.test_metric
    model = torch.load(folder / "model.pt", weights_only=False)
    assert sum(p.numel() for p in model.parameters()) == result.parameters_after


def test_same_seed_gives_the_same_weights_and_another_seed_others(
    make: Make, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        TolariaTrainer(make(output=str(tmp_path / name), seed=seed)).run()
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("step", [5, 20, 35])
def test_interrupted_run_goes_on_as_if_nothing_had_happened(
    make: Make, tmp_path: Path, step: int
) -> None:
    options = {"model": f"{HERE}:dropout_net", "schedule": {"warmup": 7}, "log_every": 5}
    TolariaTrainer(make(output=str(tmp_path / "whole"), **options)).run()
    folder = tmp_path / "broken"
    stop, on_event = stopping_at(step)
    trainer = TolariaTrainer(make(output=str(folder), **options), stop=stop, on_event=on_event)
    broken = trainer.run()
    assert (broken.status, broken.steps) == (RunStatus.INTERRUPTED, step)
    assert broken.exit_status == 128 + signal.SIGTERM
    assert broken.resume_command == f"esper train --resume {folder}"
    assert broken.test_metric is None
    ended = TolariaTrainer.resuming(folder).run()
    assert ended.status is RunStatus.FINISHED
    assert same(weights(tmp_path / "whole"), weights(folder))
    kinds = ("step", "eval")
    assert log(tmp_path / "whole", *kinds) == log(folder, *kinds)


def test_run_that_broke_off_before_its_first_checkpoint_begins_again(
    make: Make, tmp_path: Path
) -> None:
    TolariaTrainer(make(output=str(tmp_path / "whole"))).run()
    folder = tmp_path / "broken"
    stop, on_event = stopping_at(5)
    TolariaTrainer(make(output=str(folder)), stop=stop, on_event=on_event).run()
    (folder / "checkpoint.pt").unlink()
    TolariaTrainer.resuming(folder).run()
    assert same(weights(tmp_path / "whole"), weights(folder))
    assert log(tmp_path / "whole", "step") == log(folder, "step")
    assert len(log(folder, "start")) == 1


def test_run_that_has_ended_gives_its_result_again(make: Make, tmp_path: Path) -> None:
    config = make()
    result = TolariaTrainer(config).run()
    before = (config.output / "run.jsonl").read_bytes()
    assert TolariaTrainer.resuming(config.output).run() == result
    assert (config.output / "run.jsonl").read_bytes() == before
    moved = shutil.move(config.output, tmp_path / "moved")
    assert TolariaTrainer.resuming(moved).run().folder == moved


def test_folder_of_another_run_is_refused_and_left_alone(make: Make) -> None:
    config = make()
    TolariaTrainer(config).run()
    before = {path.name: path.read_bytes() for path in config.output.iterdir()}
    with pytest.raises(RunFolderError, match="holds another run"):
        TolariaTrainer(make(seed=5)).run()
    assert {path.name: path.read_bytes() for path in config.output.iterdir()} == before


def test_mistake_in_the_settings_leaves_no_run_behind(make: Make) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        TolariaTrainer(make(batch_size=10_000)).run()
    assert not make().output.exists()


def test_training_goes_on_while_the_disk_is_full_and_saves_when_there_is_room(
    make: Make, tmp_path: Path
) -> None:
    TolariaTrainer(make(output=str(tmp_path / "whole"))).run()
    folder = tmp_path / "full"
    limit = files_end_at(12_000)

    def on_event(record: LogEntry) -> None:
        if isinstance(record, StepLogged) and record.step == 15:
            limit.__enter__()
        if isinstance(record, StepLogged) and record.step == 35:
            limit.__exit__(None, None, None)

    TolariaTrainer(make(output=str(folder)), on_event=on_event).run()
    failed = log(folder, "checkpoint_failed")
    assert [r["step"] for r in failed] == [20, 30]
    assert "The checkpoint of step 10 is intact: make room" in failed[0]["error"]
    assert same(weights(tmp_path / "whole"), weights(folder))
    assert log(folder, "step") == log(tmp_path / "whole", "step")


def test_disk_that_stays_full_ends_the_run_with_an_error_and_loses_nothing(
    make: Make, tmp_path: Path
) -> None:
    TolariaTrainer(make(output=str(tmp_path / "whole"))).run()
    folder = tmp_path / "full"
    limit = files_end_at(12_000)

    def on_event(record: LogEntry) -> None:
        if isinstance(record, StepLogged) and record.step == 15:
            limit.__enter__()

    try:
        with pytest.raises(CheckpointError, match="could not be written"):
            TolariaTrainer(make(output=str(folder)), on_event=on_event).run()
    finally:
        limit.__exit__(None, None, None)
    state = checkpoint.load(folder / "checkpoint.pt")
    assert state.extra is not None
    assert state.extra["progress"]["step"] == 10
    TolariaTrainer.resuming(folder).run()
    assert same(weights(tmp_path / "whole"), weights(folder))
    assert log(folder, "step") == log(tmp_path / "whole", "step")


def test_loss_that_is_not_finite_ends_the_run_and_spares_the_checkpoint(make: Make) -> None:
    config = make(model=f"{HERE}:explodes")
    with pytest.raises(DivergenceError, match=r"nan since step 15.*lower optimizer\.lr"):
        TolariaTrainer(config).run()
    assert all(torch.isfinite(w).all() for w in weights(config.output).values())


def test_run_ends_early_when_the_growth_loss_no_longer_falls(make: Make) -> None:
    config = make(steps=2000, early_stop={"patience": 2, "min_delta": 0.05})
    result = TolariaTrainer(config).run()
    assert result.status is RunStatus.STOPPED_EARLY
    assert result.steps < 2000
    assert result.test_metric is not None


def test_accumulated_pieces_train_as_the_whole_batch_does(make: Make, tmp_path: Path) -> None:
    for name, pieces in (("one", 1), ("four", 4)):
        TolariaTrainer(make(output=str(tmp_path / name), accumulation=pieces)).run()
    one, four = weights(tmp_path / "one"), weights(tmp_path / "four")
    for key, value in one.items():
        torch.testing.assert_close(value, four[key], atol=1e-4, rtol=1e-3)


def test_clipping_bounds_the_step(make: Make, tmp_path: Path) -> None:
    sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    norms = []
    for name, clip in (("free", None), ("clipped", 1e-3)):
        options = {"optimizer": sgd, "schedule": {"name": "none"}, "steps": 1}
        TolariaTrainer(make(output=str(tmp_path / name), clip_norm=clip, **options)).run()
    TolariaTrainer(make(output=str(tmp_path / "still"), optimizer={"lr": 0.0}, steps=1)).run()
    start = weights(tmp_path / "still")
    for name in ("free", "clipped"):
        moved = [(w - start[k]).norm() ** 2 for k, w in weights(tmp_path / name).items()]
        norms.append(float(torch.stack(moved).sum().sqrt()))
    assert norms[0] > 0.05
    assert norms[1] == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_every_optimizer_resumes_exactly(make: Make, tmp_path: Path, name: str) -> None:
    options = {"optimizer": {"name": name, "lr": 0.01}, "schedule": {"name": "onecycle"}}
    TolariaTrainer(make(output=str(tmp_path / "whole"), **options)).run()
    stop, on_event = stopping_at(15)
    folder = tmp_path / "broken"
    TolariaTrainer(make(output=str(folder), **options), stop=stop, on_event=on_event).run()
    TolariaTrainer.resuming(folder).run()
    assert same(weights(tmp_path / "whole"), weights(folder))


def test_forward_passes_run_in_bfloat16_and_weights_stay_float32(make: Make) -> None:
    config = make(precision="bfloat16")
    result = TolariaTrainer(config).run()
    assert result.test_metric is not None
    assert result.test_metric > 0.8
    assert {w.dtype for w in weights(config.output).values()} == {torch.float32}


def test_data_and_model_of_the_user_train_through_the_same_call(make: Make) -> None:
    config = make(data=f"{HERE}:line", model=f"{HERE}:perceptron", steps=None, grow=True)
    result = TolariaTrainer(config).run()
    assert result.metric == "mean squared error"
    assert not result.higher_is_better
    assert result.test_metric is not None
    assert result.test_metric < 5
    assert (config.output / "report.json").exists()


def test_growing_run_trains_as_the_static_one_until_it_grafts(make: Make, tmp_path: Path) -> None:
    for name, grow in (("static", False), ("growing", True)):
        TolariaTrainer(make(output=str(tmp_path / name), grow=grow, steps=60)).run()
    report = GrowthReport.model_validate_json((tmp_path / "growing/report.json").read_bytes())
    assert report.total_steps == 60
    if not any(layer.grown for layer in report.after):
        assert same(weights(tmp_path / "static"), weights(tmp_path / "growing"))


@pytest.mark.slow
def test_interrupted_growing_run_goes_on_as_if_nothing_had_happened(
    make: Make, tmp_path: Path
) -> None:
    options = {"data": "mnist1d", "steps": 400, "log_every": 10, "grow": True, "batch_size": 50}
    TolariaTrainer(make(output=str(tmp_path / "whole"), **options)).run()
    folder = tmp_path / "broken"
    for step in (50, 130, 250, 390):
        stop, on_event = stopping_at(step)
        if step == 50:
            trainer = TolariaTrainer(
                make(output=str(folder), **options), stop=stop, on_event=on_event
            )
        else:
            trainer = TolariaTrainer.resuming(folder, stop=stop, on_event=on_event)
        assert trainer.run().steps == step
    TolariaTrainer.resuming(folder).run()
    assert same(weights(tmp_path / "whole"), weights(folder))
    kinds = ("step", "eval", "event")
    assert log(tmp_path / "whole", *kinds) == log(folder, *kinds)
    reports = [(f / "report.json").read_text() for f in (tmp_path / "whole", folder)]
    assert reports[0] == reports[1]
    curve = GrowthReport.model_validate_json(reports[1]).curve
    evaluations = log(folder, "eval")
    assert [(p.step, p.growth_metric) for p in curve] == [
        (line["step"], line["growth_metric"]) for line in evaluations
    ]
