from __future__ import annotations

import inspect
from typing import get_args

import pytest
from pydantic import ValidationError

from esper.contracts import events
from esper.contracts.events import AnyEvent, Event, RolledBack, parse_event

KINDS = [
    member
    for _, member in inspect.getmembers(events, inspect.isclass)
    if issubclass(member, Event) and not member.__subclasses__()
]


def test_every_event_can_be_parsed() -> None:
    union, _ = get_args(AnyEvent)
    assert set(get_args(union)) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_names_its_class_and_carries_step_and_version(kind: type[Event]) -> None:
    assert kind.model_fields["kind"].default == kind.__name__
    assert kind.model_fields["version"].default == 1
    assert kind.model_fields["step"].is_required()


def test_an_event_read_back_is_the_same() -> None:
    saved = RolledBack(step=3, to_step=1, reason="the loss rose")
    assert parse_event(saved.model_dump(mode="json")) == saved


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "Unheard", "step": 1},
        {"step": 1},
        {"kind": "RolledBack", "step": -1, "to_step": 0, "reason": "x"},
        {"kind": "RolledBack", "step": 1, "to_step": 0, "reason": "x", "more": 1},
        {"kind": "RolledBack", "step": 1, "to_step": 0, "reason": "x", "version": 2},
        "RolledBack",
    ],
)
def test_what_is_not_an_event_is_refused(data: object) -> None:
    with pytest.raises(ValidationError):
        parse_event(data)
