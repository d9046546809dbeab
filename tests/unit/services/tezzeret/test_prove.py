from __future__ import annotations

from typing import Any

import pytest
import torch

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.library.catalog import candidates, control
from esper.contracts.assets import Blueprint
from esper.contracts.enums import KernelMode
from esper.contracts.library import Target
from esper.execution.artifact import unpack
from esper.services.tezzeret.prove import CHECKS, prove
from support.forge import blueprint_at, blueprint_of, perceptron
from support.places import PLACES, geometry_at

EAGER = Target(batch_size=4)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("description", PLACES)
def test_the_library_is_proven_at_every_place(description: str) -> None:
    geometry = geometry_at(description)
    fitting = candidates(geometry)
    for entry in [control(geometry), fitting[0], fitting[-1]]:
        proof = prove(blueprint_at(geometry, entry), [EAGER])
        assert proof.report.passed, f"{entry.label} {entry.mode}: {proof.report.reason}"
        assert proof.data is not None


def test_a_report_holds_every_check_and_measurement() -> None:
    blueprint = blueprint_of(perceptron())
    proof = prove(blueprint, [EAGER])
    names = [check.name for check in proof.report.checks]
    assert names == ["graph", *CHECKS, "cost", "file", "eager-cpu-float32-4"]
    assert all(check.detail for check in proof.report.checks)
    assert proof.report.parameters == blueprint.parameters
    assert proof.report.flops == blueprint.flops
    assert proof.report.peak_bytes > 0
    assert proof.report.latencies[0].target == EAGER
    assert proof.report.latencies[0].worst_us >= proof.report.latencies[0].median_us > 0
    assert proof.report.toolchain.torch == torch.__version__


def test_the_same_seed_gives_the_same_kernel_and_another_seed_another() -> None:
    blueprint = blueprint_of(perceptron())
    first, again, other = (prove(blueprint, [], seed=seed).data for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    prove(blueprint_of(perceptron()), [EAGER])
    assert torch.equal(torch.get_rng_state(), before)


def planted(*steps: tuple[str, dict[str, Any]], mode: KernelMode) -> Blueprint:
    g = GraphBuilder((8,))
    return blueprint_of(g.finish(g.chain("x", *steps)), mode=mode)


LINEAR = ("linear", {"out_features": 8})
ZERO = ("linear", {"out_features": 8, "init": "zero", "bias": False})


@pytest.mark.parametrize(
    ("steps", "mode", "check"),
    [
        ([LINEAR, *[("square", {})] * 4], "replacing", "finite"),
        ([ZERO, ("relu", {}), ZERO], "replacing", "gradients"),
        ([LINEAR], "residual", "birth"),
        ([LINEAR, ZERO], "replacing", "birth"),
    ],
)
def test_a_fault_ends_the_proof_with_its_reason_and_without_a_kernel(
    steps: list[tuple[str, dict[str, Any]]], mode: str, check: str
) -> None:
    proof = prove(planted(*steps, mode=KernelMode(mode)), [EAGER])
    assert proof.data is None
    assert not proof.report.passed
    assert proof.report.checks[-1].name == check
    assert proof.report.reason.startswith(f"{check}: ")
    assert not proof.report.latencies


@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"schema": 1, "inputs": {}, "nodes": [], "outputs": {}},
        {"schema": 99, "inputs": {"x": {"shape": [4], "dtype": "float32"}}, "nodes": []},
        {"nodes": "__import__('os').system('true')"},
    ],
)
def test_what_is_no_graph_is_a_finding_and_not_an_error(architecture: dict[str, Any]) -> None:
    blueprint = blueprint_of(perceptron()).model_copy(update={"architecture": architecture})
    proof = prove(blueprint, [EAGER])
    assert proof.report.checks[0].name == "graph"
    assert not proof.report.passed


def test_a_device_that_is_not_there_is_noted_and_left_out() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    proof = prove(blueprint_of(perceptron()), [Target(device="cuda:0", batch_size=4)])
    assert proof.report.passed
    assert "no cuda:0" in proof.report.checks[-1].detail
    assert not proof.report.latencies


def test_a_dtype_that_no_kernel_has_fails() -> None:
    proof = prove(blueprint_of(perceptron()), [Target(dtype="int8", batch_size=4)])
    assert "'int8'" in proof.report.reason


def test_the_kernel_file_is_the_newborn_kernel() -> None:
    proof = prove(blueprint_of(perceptron()), [Target(dtype="bfloat16", batch_size=2)])
    assert proof.data is not None
    artifact = unpack(proof.data)
    assert artifact.metadata.blueprint == "planted/one"
    assert artifact.metadata.dtype == "float32"
