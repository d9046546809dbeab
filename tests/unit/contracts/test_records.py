from __future__ import annotations

import pytest
from pydantic import ValidationError

from esper.contracts.events import RolledBack
from esper.contracts.records import StepLogged, parse_record


def test_a_line_of_the_curve_is_read_as_one() -> None:
    line = {"type": "step", "step": 5, "train_loss": None, "lr": 0.1, "alpha": {"0#0": 0.5}}
    assert parse_record(line) == StepLogged(step=5, train_loss=None, lr=0.1, alpha={"0#0": 0.5})


def test_a_line_of_type_event_is_read_as_that_event() -> None:
    event = RolledBack(step=3, to_step=1, reason="the loss rose")
    assert parse_record({"type": "event", **event.model_dump(mode="json")}) == event


@pytest.mark.parametrize("line", [{}, {"type": "stop", "step": 1}, {"type": "step", "step": -1}])
def test_a_line_of_no_known_shape_is_refused(line: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parse_record(line)
