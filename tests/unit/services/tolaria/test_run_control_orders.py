from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from esper.contracts.enums import KasminaAction
from esper.contracts.lifecycle import SeedPhase
from esper.contracts.messages import KasminaControlCommand, StopTraining
from esper.contracts.records import LogEntry, StepLogged
from esper.core import checkpoint
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.catalog import load
from esper.execution.artifact import KernelArtifact
from esper.services.tolaria.result import RunStatus
from esper.services.tolaria.run_control import Control, Order, RunCommand
from esper.services.tolaria.session import begin
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import TolariaConfig
from support.proven_kernels import proven

Make = Callable[..., TolariaConfig]

WITHOUT_RACES = {"first_check": 1.0, "last_start": 0.0, "observe_every": 400}
"""Settings of a run that may grow, and does so by command only."""
RACING = {
    "data": "mnist1d",
    "steps": 120,
    "grow": True,
    "log_every": 1,
    "growth": {"families": ["conv1d"], "first_check": 0.1, "rung": 0.1, "scout_compute": 4.0},
}


@pytest.fixture(scope="module")
def kernel() -> KernelArtifact:
    bundle = load("breast-cancer")
    geometry = wrap(bundle.model(), example_input=bundle.example).kasmina_layers["0"].geometry
    assert geometry is not None
    return proven(geometry)


class Script:
    """Puts commands into a control's inbox when the records of their steps are written."""

    def __init__(
        self, commands: Mapping[int, list[tuple[RunCommand, KernelArtifact | None]]]
    ) -> None:
        self.control = Control()
        self._commands = dict(commands)

    def __call__(self, record: LogEntry) -> None:
        if not isinstance(record, StepLogged):
            return
        for command, kernel in self._commands.pop(record.step, []):
            self.control.waiting.append(Order(command=command, trace_id="ab" * 16, kernel=kernel))


def to_seed(action: str, layer: str = "0", **more: Any) -> KasminaControlCommand:
    name = f"{action}-{layer}-{more.get('alpha', '')}"
    fields = {"layer_name": layer, "seed_idx": 0, "command_id": name, **more}
    return KasminaControlCommand(run_id="r", action=KasminaAction(action), **fields)


def load_of(kernel: KernelArtifact, layer: str = "0") -> tuple[RunCommand, KernelArtifact]:
    return to_seed("load_kernel", layer, kernel_id=kernel.kernel_id), kernel


def results(folder: Path) -> list[tuple[str, int, str]]:
    """What became of commands: kind, step, reason."""
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [
        (r["kind"], r["step"], r.get("reason", ""))
        for r in found
        if r.get("kind") in {"CommandCarriedOut", "CommandRefused"}
    ]


def events(folder: Path) -> list[str]:
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [r["kind"] for line in lines if (r := json.loads(line))["type"] == "event"]


def grown(config: TolariaConfig) -> MorphableModel:
    """The model of a run's checkpoint."""
    session = begin(config)
    state = checkpoint.load(config.output / "checkpoint.pt")
    checkpoint.restore(state, model=session.model)
    assert isinstance(session.model, MorphableModel)
    return session.model


def test_a_kernels_whole_life_by_command(make: Make, kernel: KernelArtifact) -> None:
    script = Script(
        {
            5: [load_of(kernel)],
            10: [(to_seed("set_alpha", alpha=0.5), None)],
            15: [(to_seed("set_alpha", alpha=1.0), None)],
            20: [(to_seed("fossilize"), None)],
            25: [(to_seed("freeze"), None)],
        }
    )
    config = make(grow=True, growth=WITHOUT_RACES)
    TolariaTrainer(config, control=script.control, on_event=script).run()
    done = [("CommandCarriedOut", step, "") for step in (6, 11, 16, 21, 26)]
    assert results(config.output) == done
    assert [kind for kind in events(config.output) if kind.startswith("Seed")] == [
        "SeedGerminated",
        "SeedFossilized",
    ]
    model = grown(config)
    seed = model.layer("0").seed(0)
    assert (seed.phase, seed.kernel_id, seed.frozen) == (
        SeedPhase.FOSSILIZED,
        kernel.kernel_id,
        True,
    )
    lines = (config.output / "run.jsonl").read_text(encoding="utf-8").splitlines()
    alphas = {r["step"]: r["alpha"] for line in lines if (r := json.loads(line))["type"] == "step"}
    assert (alphas[10], alphas[15], alphas[20]) == ({"0#0": 0.0}, {"0#0": 0.5}, {"0#0": 1.0})


def test_a_kernel_that_is_culled_or_unloaded_leaves_the_run_as_it_found_it(
    make: Make, kernel: KernelArtifact
) -> None:
    script = Script(
        {
            5: [load_of(kernel), (to_seed("cull"), None)],
            10: [(load_of(kernel)[0].model_copy(update={"command_id": "again"}), kernel)],
            15: [(to_seed("set_alpha", alpha=0.5), None)],
            20: [(to_seed("set_alpha", alpha=0.0), None), (to_seed("unload_kernel"), None)],
        }
    )
    config = make(grow=True, growth=WITHOUT_RACES)
    TolariaTrainer(config, control=script.control, on_event=script).run()
    assert {kind for kind, _, _ in results(config.output)} == {"CommandCarriedOut"}
    kinds = [kind for kind in events(config.output) if kind.startswith("Seed")]
    germinated = ["SeedGerminated", "SeedCulled"]
    assert kinds == [*germinated, "SeedGerminated", "SeedRetreated", "SeedCulled"]
    assert grown(config).layer("0").seed(0).phase is SeedPhase.DORMANT


def test_what_cannot_be_done_is_refused_with_the_reason_and_changes_nothing(
    make: Make, kernel: KernelArtifact, tmp_path: Path
) -> None:
    missing = Order(
        command=to_seed("load_kernel", kernel_id="cd" * 32), trace_id="t", trouble="no such kernel"
    )
    script = Script(
        {
            5: [
                (to_seed("cull", "0.nothing"), None),
                (to_seed("fossilize"), None),
                (to_seed("freeze"), None),
            ],
            10: [load_of(kernel, "2")],
        }
    )
    script.control.waiting.append(missing)
    config = make(grow=True, growth=WITHOUT_RACES)
    TolariaTrainer(config, control=script.control, on_event=script).run()
    found = results(config.output)
    assert [(kind, step) for kind, step, _ in found] == [
        ("CommandRefused", step) for step in (1, 6, 6, 6, 11)
    ]
    reasons = [reason for _, _, reason in found]
    assert reasons[0] == "no such kernel"
    assert "no layer '0.nothing'" in reasons[1]
    assert "DORMANT" in reasons[2]
    assert "no kernel to freeze" in reasons[3]
    undisturbed = make(grow=True, growth=WITHOUT_RACES, output=str(tmp_path / "undisturbed"))
    TolariaTrainer(undisturbed).run()
    states = [checkpoint.load(c.output / "checkpoint.pt").model for c in (config, undisturbed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_a_run_that_may_not_grow_refuses_commands_to_its_seeds(make: Make) -> None:
    script = Script({5: [(to_seed("cull"), None)]})
    config = make()
    TolariaTrainer(config, control=script.control, on_event=script).run()
    ((kind, step, reason),) = results(config.output)
    assert (kind, step) == ("CommandRefused", 6)
    assert "growth is off" in reason


def test_a_command_to_stop_leaves_a_checkpoint_and_its_reason(make: Make) -> None:
    stop = StopTraining(run_id="r", reason="the machine is needed", command_id="stop")
    script = Script({15: [(stop, None)]})
    config = make()
    result = TolariaTrainer(config, control=script.control, on_event=script).run()
    assert (result.status, result.steps) == (RunStatus.INTERRUPTED, 16)
    last = json.loads((config.output / "run.jsonl").read_text().splitlines()[-1])
    assert last == {"type": "interrupted", "step": 16, "signal": None, "reason": stop.reason}
    script = Script({20: [(stop, None)]})  # as the bus may bring it again
    ended = TolariaTrainer.resuming(config.output, control=script.control, on_event=script).run()
    assert ended.status is RunStatus.FINISHED


def test_while_the_run_itself_races_in_a_layer_commands_to_it_are_refused(make: Make) -> None:
    script = Script({20: [(to_seed("cull"), None)]})
    config = make(**RACING)
    TolariaTrainer(config, control=script.control, on_event=script).run()
    ((kind, _, reason),) = results(config.output)
    assert kind == "CommandRefused"
    assert "race 0 for layer '0' is under way" in reason


def test_while_the_run_itself_races_elsewhere_commands_wait_in_their_order(
    make: Make, kernel: KernelArtifact
) -> None:
    alpha = to_seed("set_alpha", "4", alpha=0.5)
    script = Script({20: [(alpha, None), (to_seed("cull", "4"), None)]})
    config = make(**RACING)
    bundle = load("mnist1d")
    assert "4" in wrap(bundle.model(), example_input=bundle.example).kasmina_layers
    TolariaTrainer(config, control=script.control, on_event=script).run()
    found = results(config.output)
    assert len(found) == 2
    lines = (config.output / "run.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    decided = next(r["step"] for r in records if r.get("kind") == "RaceDecided")
    assert all(step >= decided for _, step, _ in found)


def test_commands_that_are_held_by_no_checkpoint_are_not_settled(make: Make) -> None:
    settled: list[tuple[int, str]] = []
    script = Script({5: [(to_seed("cull"), None)], 15: [(to_seed("fossilize"), None)]})
    steps: list[int] = []
    config = make(checkpoint_every=20, steps=40)

    class Watched(Control):
        def settle(self, carried_out: Any) -> None:
            settled.extend((steps[-1], one) for one in carried_out)

    watched = Watched()
    script.control = watched

    def on_event(record: LogEntry) -> None:
        steps.append(record.step)
        script(record)

    TolariaTrainer(config, control=watched, on_event=on_event).run()
    assert settled == [(20, "cull-0-"), (20, "fossilize-0-")]
