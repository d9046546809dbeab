from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.contracts.assets import Blueprint
from esper.contracts.enums import KernelMode
from esper.contracts.errors import KernelMismatchError
from esper.execution.artifact import unpack
from esper.services.tezzeret.kernel_checks import (
    alive,
    birth,
    builds,
    claims,
    finite,
    geometry,
    modes,
    repeats,
    written,
)
from esper.services.tezzeret.proof_subject import CheckFailedError, Subject
from support.forge import blueprint_of, perceptron

TRUE = blueprint_of(perceptron())


def subject_of(blueprint: Blueprint) -> Subject:
    return Subject.of(blueprint, seed=0)


def test_a_true_blueprint_builds_and_its_claims_hold() -> None:
    assert "3 nodes" in builds(subject_of(TRUE))
    assert "as stated" in claims(subject_of(TRUE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parameters", TRUE.parameters + 1),
        ("flops", TRUE.flops - 2),
        ("input_shape", (9,)),
        ("output_shape", (6, 1)),
    ],
)
def test_a_claim_that_is_not_true_is_found(field: str, value: object) -> None:
    with pytest.raises(CheckFailedError, match="states"):
        claims(subject_of(TRUE.model_copy(update={field: value})))


def test_a_claimed_shape_may_leave_open_what_the_graph_fixes() -> None:
    assert claims(subject_of(TRUE.model_copy(update={"output_shape": (None,)})))


Make = Callable[..., Subject]


class Squeezed(nn.Linear):
    """Loses the batch axis of a single sample."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).squeeze(0)


class Faulty(Subject):
    @override
    def fresh(self) -> nn.Module:
        return Squeezed(8, 6)


def test_every_batch_and_length_is_tried_in_both_modes(subject: Make) -> None:
    said = geometry(subject(("linear", {"out_features": 3}), shape=(None, 4)))
    assert said.startswith("30 calls")


def test_batch_statistics_are_not_asked_of_a_single_sample(subject: Make) -> None:
    assert geometry(subject(("batch_norm1d", {}))).startswith("5 calls")


def test_a_kernel_that_returns_another_shape_is_found(subject: Make) -> None:
    good = subject(("linear", {"out_features": 6}))
    bad = Faulty(blueprint=good.blueprint, ir=good.ir, seed=0)
    with pytest.raises(CheckFailedError, match=r"shape \(6,\), expected \(1, 6\)"):
        geometry(bad)


LINEAR = ("linear", {"out_features": 6})


def test_a_perceptron_stays_finite_at_every_scale(subject: Make) -> None:
    assert "1000" in finite(subject(LINEAR, ("gelu", {}), LINEAR))


def test_an_output_that_overflows_for_large_inputs_is_found(subject: Make) -> None:
    powers = [("square", {})] * 4
    with pytest.raises(CheckFailedError, match="output is not finite for inputs of scale 1000"):
        finite(subject(LINEAR, *powers))


def test_a_gradient_that_is_not_finite_is_found(subject: Make) -> None:
    # log1p is minus infinity at -1 and not defined below; abs keeps it away from there.
    assert finite(subject(LINEAR, ("abs", {}), ("log1p", {})))
    with pytest.raises(CheckFailedError, match="not finite"):
        finite(subject(LINEAR, ("log1p", {})))


def test_ids_have_no_scale(subject: Make) -> None:
    table = ("embedding", {"num_embeddings": 9, "embedding_dim": 4})
    assert finite(subject(table, shape=(6,), dtype="int64")) == "input scales 1"


def test_zeros_in_the_last_layer_are_gone_after_one_step(subject: Make) -> None:
    steps = [("linear", {"out_features": 6}), ("linear", {"out_features": 6, "init": "zero"})]
    assert "all 4" in alive(subject(*steps, mode=KernelMode.RESIDUAL))


def test_parameters_behind_two_layers_of_zeros_are_found_dead(subject: Make) -> None:
    zero = ("linear", {"out_features": 6, "init": "zero", "bias": False})
    with pytest.raises(CheckFailedError, match=r"2 of 2 .*linear_2\.weight"):
        alive(subject(zero, ("relu", {}), zero))


def test_a_kernel_without_parameters_has_none_that_are_dead(subject: Make) -> None:
    assert "all 0" in alive(subject(("relu", {})))


ZERO = ("linear", {"out_features": 6, "init": "zero"})


def test_a_residual_kernel_must_return_exact_zeros(subject: Make) -> None:
    assert birth(subject(LINEAR, ZERO, mode=KernelMode.RESIDUAL)) == "exact zeros"
    with pytest.raises(CheckFailedError, match="newborn residual kernel returns up to"):
        birth(subject(ZERO, LINEAR, mode=KernelMode.RESIDUAL))


def test_a_replacing_kernel_must_not_be_silent(subject: Make) -> None:
    assert birth(subject(LINEAR)) == "not silent"
    with pytest.raises(CheckFailedError, match="nothing but zeros"):
        birth(subject(LINEAR, ZERO))


class Moody(nn.Linear):
    """Returns something else while training, for no stated reason."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * (2.0 if self.training else 1.0)


class MoodySubject(Subject):
    @override
    def fresh(self) -> nn.Module:
        return Moody(8, 6)


def test_dropout_and_batch_statistics_are_reasons_to_differ(subject: Make) -> None:
    assert "dropout" in modes(subject(LINEAR, ("dropout", {"p": 0.5})))
    assert "batch statistics" in modes(subject(LINEAR, ("batch_norm1d", {})))
    assert modes(subject(LINEAR)) == "the same bits"


def test_a_difference_without_a_reason_is_found(subject: Make) -> None:
    good = subject(LINEAR)
    with pytest.raises(CheckFailedError, match="neither dropout nor batch statistics"):
        modes(MoodySubject(blueprint=good.blueprint, ir=good.ir, seed=0))


class Unsteady(nn.Linear):
    """Draws in evaluation too."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + torch.rand(1)


class Drawn(Subject):
    """Is born with other weights each time."""

    @override
    def fresh(self) -> nn.Module:
        return nn.Linear(8, 6)


class Wavering(Subject):
    @override
    def fresh(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Unsteady(8, 6)


def test_dropout_repeats_from_the_same_random_state(subject: Make) -> None:
    assert repeats(subject(LINEAR, ("dropout", {"p": 0.5}), LINEAR))


@pytest.mark.parametrize(("kind", "how"), [(Drawn, "born"), (Wavering, "run")])
def test_a_kernel_that_differs_is_found(subject: Make, kind: type[Subject], how: str) -> None:
    good = subject(LINEAR)
    with pytest.raises(CheckFailedError, match=f"{how} twice"):
        repeats(kind(blueprint=good.blueprint, ir=good.ir, seed=0))


class Other(Subject):
    @override
    def fresh(self) -> nn.Module:
        return nn.Linear(8, 6)


def test_equal_blueprints_give_equal_files_that_name_no_worker(subject: Make) -> None:
    data = written(subject(LINEAR))
    assert data == written(subject(LINEAR))
    assert unpack(data).metadata.created_by == "tezzeret"


def test_a_module_of_another_graph_is_not_written(subject: Make) -> None:
    good = subject(LINEAR)
    with pytest.raises(KernelMismatchError):
        written(Other(blueprint=good.blueprint, ir=good.ir, seed=0))
