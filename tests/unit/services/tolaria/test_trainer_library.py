"""A run with a library: kernels come in, reports and kernels go out, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.growth import GrowthReport
from esper.contracts.records import LogEntry, StepLogged
from esper.core import checkpoint
from esper.core.model_wrapper import wrap
from esper.data.catalog import load
from esper.execution.artifact import pack
from esper.execution.kernel_cache import KernelCache
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from esper.services.tolaria.outbox import deliver
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils.run_identity import read_identity
from support.memory_library import MemoryLibrary
from support.proven_kernels import trained

Make = Callable[..., TolariaConfig]
SHORT: dict[str, Any] = {
    "data": "mnist1d",
    "steps": 240,
    "grow": True,
    "growth": {
        "first_check": 0.1,
        "rung": 0.1,
        "ramp": 0.05,
        "settle": 0.05,
        "max_grafts": 1,
        "scout_compute": 1.0,
    },
    "library": {"url": "http://127.0.0.1:9", "deposit": True},
}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "checkpoint.pt").model


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [r for line in lines if (r := json.loads(line))["type"] == kind]


@pytest.fixture(scope="module")
def kernel() -> bytes:
    bundle = load("mnist1d")
    geometry = wrap(bundle.model(), example_input=bundle.example).kasmina_layers["0"].geometry
    assert geometry is not None
    x, y = bundle.train.tensors
    found = trained(geometry, x, y)
    return pack(found.build(), found.ir, found.metadata.mode, blueprint="conv1d/small")


def test_a_kernel_of_the_library_wins_and_both_sides_learn_of_it(
    make: Make, kernel: bytes, tmp_path: Path
) -> None:
    library = MemoryLibrary()
    entered = library.put(kernel, gain=0.5)
    config = make(**SHORT)
    TolariaTrainer(config, library=library).run()
    folder = config.output
    assert records(folder, "library")[0]["entered"] == [entered]
    report = GrowthReport.model_validate_json((folder / "report.json").read_bytes())
    assert any(d.verdict == "fossilise" and d.candidate for d in report.decisions)

    delivery = deliver(folder, library)
    assert (delivery.left, delivery.refused, delivery.trouble) == (0, 0, None)
    assert (delivery.kernels, delivery.reports) == (1, 2)
    by_kernel = {o.kernel_id: o for o in library.outcomes.values()}
    assert by_kernel[entered].report.outcome is AdaptationOutcome.FOSSILIZED
    (grown,) = set(by_kernel) - {entered}
    assert library.records[grown].tags["parent"] == entered
    assert library.records[grown].tags["task"] == "mnist1d"
    identity = read_identity(folder)
    assert identity is not None
    assert {o.run_id for o in by_kernel.values()} == {identity.run_id}
    assert deliver(folder, library).reports == 0


def test_only_kernels_that_the_given_cache_trusts_enter(make: Make, kernel: bytes) -> None:
    library, key = MemoryLibrary(), Ed25519PrivateKey.generate()
    kernel_id = library.put(kernel, gain=0.5)
    cache = KernelCache(library, trust=TrustPolicy.of([key.public_key()]))
    config = make(**{**SHORT, "steps": 1})
    TolariaTrainer(config, library=library, cache=cache).run()
    assert records(config.output, "library")[0]["entered"] == []
    library.signed = {kernel_id: (sign(kernel_id, key),)}
    again = make(**{**SHORT, "steps": 1, "output": f"{config.output}-again"})
    TolariaTrainer(again, library=library, cache=cache).run()
    assert records(again.output, "library")[0]["entered"] == [kernel_id]


@pytest.mark.parametrize("step", [20, 60, 130])
def test_a_resumed_run_has_the_same_kernels_whatever_the_library_holds_by_then(
    make: Make, kernel: bytes, tmp_path: Path, step: int
) -> None:
    library = MemoryLibrary()
    library.put(kernel)
    settings = {**SHORT, "log_every": 5, "checkpoint_every": 240}
    TolariaTrainer(make(**settings, output=str(tmp_path / "whole")), library=library).run()
    stop, folder = StopRequest(), tmp_path / "broken"

    def on_event(record: LogEntry) -> None:
        if isinstance(record, StepLogged) and record.step == step:
            stop.ask()

    config = make(**settings, output=str(folder))
    TolariaTrainer(config, library=library, stop=stop, on_event=on_event).run()
    TolariaTrainer.resuming(folder, library=MemoryLibrary(calls_left=0)).run()
    assert same(weights(tmp_path / "whole"), weights(folder))


def test_a_library_that_is_away_changes_nothing_but_the_log(make: Make, tmp_path: Path) -> None:
    alone = {**SHORT, "steps": 60, "library": {}}
    TolariaTrainer(make(**alone, output=str(tmp_path / "alone"))).run()
    asked = {**SHORT, "steps": 60}
    away = MemoryLibrary(calls_left=0)
    TolariaTrainer(make(**asked, output=str(tmp_path / "asked")), library=away).run()
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "asked"))
    (record,) = records(tmp_path / "asked", "library")
    assert record["entered"] == []
    assert "away" in record["trouble"]
    assert records(tmp_path / "alone", "library") == []
    assert not (tmp_path / "alone" / "outbox").exists()


def test_what_could_not_be_sent_waits_in_the_outbox(
    make: Make, kernel: bytes, tmp_path: Path
) -> None:
    library = MemoryLibrary()
    library.put(kernel)
    config = make(**SHORT)
    TolariaTrainer(config, library=library).run()
    library.calls_left = 1
    first = deliver(config.output, library)
    assert (first.kernels, first.reports, first.left) == (1, 0, 2)
    assert first.trouble is not None
    library.calls_left = None
    refused = next((config.output / "outbox" / "reports").glob("*.json"))
    library.refused.add(refused.stem)
    second = deliver(config.output, library)
    assert (second.kernels, second.reports, second.refused, second.left) == (0, 1, 1, 0)
    assert refused.with_name(f"{refused.name}.refused").exists()
