from __future__ import annotations

from itertools import product

import pytest

from esper.contracts.errors import IllegalTransitionError
from esper.hosting.service import LIFE, ServiceEvent, ServiceState


@pytest.mark.parametrize(("state", "event"), list(product(ServiceState, ServiceEvent)))
def test_a_move_is_in_the_table_or_refused(state: ServiceState, event: ServiceEvent) -> None:
    if (state, event) in LIFE.table:
        assert LIFE.advance(state, event) is LIFE.table[state, event]
    else:
        with pytest.raises(IllegalTransitionError, match=state.name):
            LIFE.advance(state, event)


def test_a_stopped_service_stays_so() -> None:
    assert not [event for state, event in LIFE.table if state is ServiceState.STOPPED]


def test_from_every_other_state_a_service_can_be_brought_to_an_end() -> None:
    for start in set(ServiceState) - {ServiceState.STOPPED}:
        state = LIFE.advance(start, ServiceEvent.TOLD)
        if state is not ServiceState.STOPPED:
            state = LIFE.advance(state, ServiceEvent.ENDED)
        assert state is ServiceState.STOPPED
