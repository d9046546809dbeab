from __future__ import annotations

from itertools import product

import pytest

from esper.contracts.enums import BlueprintState, KernelStatus
from esper.contracts.errors import IllegalTransitionError
from esper.contracts.lifecycle import (
    BLUEPRINT_LIFE,
    KERNEL_LIFE,
    BlueprintEvent,
    KernelEvent,
)


@pytest.mark.parametrize(("state", "event"), list(product(BlueprintState, BlueprintEvent)))
def test_a_blueprint_moves_along_the_table_only(
    state: BlueprintState, event: BlueprintEvent
) -> None:
    if (state, event) in BLUEPRINT_LIFE.table:
        assert BLUEPRINT_LIFE.advance(state, event) is BLUEPRINT_LIFE.table[state, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{state.name} cannot {event.value}"):
            BLUEPRINT_LIFE.advance(state, event)


@pytest.mark.parametrize(("status", "event"), list(product(KernelStatus, KernelEvent)))
def test_a_kernel_moves_along_the_table_only(status: KernelStatus, event: KernelEvent) -> None:
    if (status, event) in KERNEL_LIFE.table:
        assert KERNEL_LIFE.advance(status, event) is KERNEL_LIFE.table[status, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{status.name} cannot {event.value}"):
            KERNEL_LIFE.advance(status, event)


def test_every_state_but_the_first_can_be_reached_and_only_the_archive_is_final() -> None:
    assert set(BLUEPRINT_LIFE.table.values()) == set(BlueprintState) - {BlueprintState.PROPOSED}
    left = {state for state, _ in BLUEPRINT_LIFE.table}
    assert set(BlueprintState) - left == {BlueprintState.ARCHIVED}


def test_only_a_worker_with_a_lease_can_validate_a_blueprint() -> None:
    validating = [s for s, e in BLUEPRINT_LIFE.table if e is BlueprintEvent.VALIDATE]
    assert validating == [BlueprintState.COMPILING]


def test_a_rejected_kernel_stays_rejected() -> None:
    assert KernelStatus.REJECTED not in {status for status, _ in KERNEL_LIFE.table}


def test_an_illegal_move_says_what_is_possible() -> None:
    with pytest.raises(IllegalTransitionError, match="Legal from here: reopen, archive"):
        BLUEPRINT_LIFE.advance(BlueprintState.INVALID, BlueprintEvent.VALIDATE)
