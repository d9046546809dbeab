from __future__ import annotations

from collections.abc import Callable

import pytest

from esper.services.tezzeret.checks.numbers import finite
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]
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
