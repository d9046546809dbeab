"""The forge against a real library: its server in one process, the forge in others."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import BlueprintState, KernelMode, KernelStatus, Role
from esper.contracts.errors import LeaseLostError
from esper.contracts.library import BlueprintRecord
from esper.core.model_wrapper import wrap
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.worker import Worker
from esper.services.urza.client.urza_client import UrzaClient
from support import forked
from support.forge import blueprint_at, blueprint_of, perceptron
from support.places import geometry_at
from support.urza_server import ESPER, UrzaServer, urza_server

PATIENCE = 300.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrzaServer]:
    with urza_server(tmp_path_factory.mktemp("library") / "urza") as running:
        yield running


@pytest.fixture
def trainer(server: UrzaServer) -> Iterator[UrzaClient]:
    with UrzaClient(server.url, server.tokens[Role.TRAINER]) as client:
        yield client


@pytest.fixture
def compiler(server: UrzaServer) -> Iterator[UrzaClient]:
    with UrzaClient(server.url, server.tokens[Role.COMPILER]) as client:
        yield client


@pytest.fixture
def forge(server: UrzaServer, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`esper tezzeret run` with one worker."""
    command = [*ESPER, "tezzeret", "run", "--no-compile", "--batch", "4"]
    command += ["--compile-cache", str(tmp_path / "compiled")]
    with forked.Popen(
        command, env=server.environment(Role.COMPILER), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def settled(client: UrzaClient, blueprint_id: str) -> BlueprintRecord:
    over = {BlueprintState.VALIDATED, BlueprintState.INVALID}
    until(lambda: client.blueprint(blueprint_id).blueprint.state in over)
    return client.blueprint(blueprint_id)


def test_what_is_submitted_is_built_proven_stored_and_runs_in_a_model(
    trainer: UrzaClient, forge: subprocess.Popen[str]
) -> None:
    geometry = geometry_at("linear over a signal")
    entry = candidate(geometry, "conv1d", "medium", KernelMode.REPLACING)
    record = trainer.submit(blueprint_at(geometry, entry))
    record = settled(trainer, record.blueprint.blueprint_id)
    assert record.blueprint.state is BlueprintState.VALIDATED, record.reason
    kernel = trainer.kernel(record.kernels[0])
    assert kernel.status is KernelStatus.VALIDATED
    assert kernel.report is not None
    assert kernel.report.passed
    assert kernel.latency_us
    assert kernel.tags["torch"] == kernel.report.toolchain.torch

    model = wrap(
        nn.Sequential(nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 4)), kernel_source=trainer
    )
    assert model.load_kernel_sync("0", 0, record.kernels[0])
    model.set_seed_alpha("0", 0, 1.0)
    assert model(torch.randn(3, 40)).shape == (3, 4)
    assert model.morphogenetic_active


def test_a_blueprint_with_a_fault_becomes_invalid_with_the_reason_and_no_kernel(
    trainer: UrzaClient, forge: subprocess.Popen[str]
) -> None:
    residual = blueprint_of(perceptron(12), mode=KernelMode.RESIDUAL)
    record = settled(trainer, trainer.submit(residual).blueprint.blueprint_id)
    assert record.blueprint.state is BlueprintState.INVALID
    assert record.reason.startswith("birth: in training the newborn residual kernel returns")
    assert record.report is not None
    assert not record.report.passed
    assert not record.kernels


def test_the_forge_ends_at_sigterm(forge: subprocess.Popen[str]) -> None:
    time.sleep(1.0)
    forge.send_signal(signal.SIGTERM)
    assert forge.wait(PATIENCE) in {0, -signal.SIGTERM}


def test_only_the_newest_lease_counts(trainer: UrzaClient, compiler: UrzaClient) -> None:
    blueprint_id = trainer.submit(blueprint_of(perceptron(20))).blueprint.blueprint_id
    config = TezzeretConfig(targets=(), lease_seconds=0.5)
    slow = compiler.lease("asleep", seconds=0.5)
    assert slow is not None
    time.sleep(0.6)
    # The one that sleeps wakes up after another has finished its work.
    worker = Worker(compiler, config, name="awake")
    until(worker.step)
    record = settled(trainer, blueprint_id)
    assert record.attempts == 2
    with pytest.raises(LeaseLostError):
        compiler.fail(slow, reason="too late", report=None, retry=False)
    assert trainer.blueprint(blueprint_id).blueprint.state is BlueprintState.VALIDATED


def test_a_blueprint_that_kills_its_workers_is_set_aside_after_three_tries(
    trainer: UrzaClient, compiler: UrzaClient
) -> None:
    blueprint_id = trainer.submit(blueprint_of(perceptron(24))).blueprint.blueprint_id
    for _ in range(3):  # each dies without a word
        until(lambda: compiler.lease("dying", seconds=0.3) is not None)
        time.sleep(0.4)
    assert compiler.lease("fourth", seconds=0.3) is None
    record = trainer.blueprint(blueprint_id)
    assert record.blueprint.state is BlueprintState.INVALID
    assert "3" in record.reason


def test_a_forge_with_the_wrong_token_says_which_one_it_needs(server: UrzaServer) -> None:
    done = forked.run(
        [*ESPER, "tezzeret", "run", "--no-compile"],
        env=server.environment(Role.READER),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode not in {0, 70}
    assert "compiler" in done.stderr


def test_proving_needs_no_library(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.safetensors"
    arguments = ["tezzeret", "prove", "low-rank/small", "--mode", "replacing", "--host", "linear"]
    arguments += ["--input", "40", "--output-shape", "10", "--no-compile", "-o", str(kernel)]
    done = forked.run(
        [sys.executable, "-m", "esper.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "proven" in done.stdout
    assert kernel.is_file()
