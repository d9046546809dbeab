from __future__ import annotations

import pytest
from pydantic import ValidationError

from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.events import SeedCulled, parse_event
from esper.contracts.messages import KasminaControlCommand, OonaMessage, StopTraining, parse_command

DIGEST = "0123456789abcdef" * 4


def test_an_event_comes_out_of_its_envelope_as_it_went_in() -> None:
    event = SeedCulled(step=5, layer_name="body.0", reason="it did not help")
    message = OonaMessage.of(event, sender_id="orchestrator", topic=TopicNames.EVENTS_SEED)
    received = OonaMessage.model_validate_json(message.model_dump_json())
    assert received == message
    assert parse_event(received.payload) == event


def test_messages_of_one_trace_keep_it_and_each_has_its_own_identity() -> None:
    stop = StopTraining(run_id="r", reason="enough")
    first = OonaMessage.of(stop, sender_id="a", topic=TopicNames.EVENTS_TRAINING)
    second = OonaMessage.of(
        stop, sender_id="b", topic=TopicNames.EVENTS_TRAINING, trace_id=first.trace_id
    )
    assert first.trace_id == second.trace_id
    assert first.event_id != second.event_id


def test_an_envelope_of_another_version_is_refused() -> None:
    with pytest.raises(ValidationError, match="version"):
        OonaMessage.model_validate(
            {"version": 2, "sender_id": "a", "topic": "events.seed", "payload": {}}
        )


@pytest.mark.parametrize(
    ("action", "extra", "complaint"),
    [
        (KasminaAction.LOAD_KERNEL, {}, "needs 'kernel_id'"),
        (KasminaAction.SET_ALPHA, {}, "needs 'alpha'"),
        (KasminaAction.SET_ALPHA, {"alpha": 0.5, "kernel_id": DIGEST}, "does not take 'kernel_id'"),
        (KasminaAction.UNLOAD_KERNEL, {"alpha": 0.0}, "does not take 'alpha'"),
        (KasminaAction.SET_ALPHA, {"alpha": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_command_with_the_wrong_arguments_is_refused(
    action: KasminaAction, extra: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        KasminaControlCommand.model_validate(
            {"run_id": "r", "action": action, "layer_name": "body.0", "seed_idx": 0, **extra}
        )


@pytest.mark.parametrize(
    ("action", "extra"),
    [
        (KasminaAction.LOAD_KERNEL, {"kernel_id": DIGEST}),
        (KasminaAction.SET_ALPHA, {"alpha": 0.0}),
        (KasminaAction.UNLOAD_KERNEL, {}),
        (KasminaAction.CULL, {}),
        (KasminaAction.FREEZE, {}),
        (KasminaAction.FOSSILIZE, {}),
    ],
)
def test_a_command_with_its_arguments_is_accepted(
    action: KasminaAction, extra: dict[str, object]
) -> None:
    body = {"run_id": "r", "action": action, "layer_name": "body.0", "seed_idx": 0, **extra}
    assert KasminaControlCommand.model_validate(body).action is action


def test_a_command_is_read_back_as_its_own_class_with_its_identity() -> None:
    stop = StopTraining(run_id="r", reason="enough")
    assert parse_command(stop.model_dump(mode="json")) == stop
