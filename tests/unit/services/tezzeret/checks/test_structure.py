from __future__ import annotations

import pytest

from esper.contracts.assets import Blueprint
from esper.services.tezzeret.checks.structure import builds, claims
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject
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
