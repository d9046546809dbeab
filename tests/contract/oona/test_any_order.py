"""Whatever the order of publishing, consuming, acknowledging, dying and burying: nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esper.contracts.ports import Delivery
from support.buses import SEED, BusPlace, everything, message, numbers
from support.servers.valkey import ValkeyServer

CONSUMERS = st.sampled_from(["a", "b"])
CALLS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 5)),
    st.tuples(st.just("consume"), CONSUMERS, st.integers(1, 8)),
    st.tuples(st.just("ack"), CONSUMERS, st.integers(1, 5)),
    st.tuples(st.just("bury"), CONSUMERS),
    st.tuples(st.just("die"), CONSUMERS),
    st.tuples(st.just("trim")),
)


class History:
    """What a group saw."""

    def __init__(self) -> None:
        self.published = 0
        self.done: set[int] = set()
        self.in_hand: dict[str, list[Delivery]] = {"a": [], "b": []}


async def lived(place: BusPlace, calls: list[tuple[object, ...]]) -> None:
    bus, history = await place.open(keep_messages=1), History()
    await bus.join([SEED], "g")
    for name, *arguments in calls:
        if name == "publish":
            first, history.published = history.published, history.published + int(str(arguments[0]))
            await bus.publish([message(number) for number in range(first, history.published)])
        elif name == "trim":
            await bus.trim()
        elif name == "die":
            # All that the process had in its hands is gone; it starts again.
            history.in_hand[str(arguments[0])].clear()
            await bus.join([SEED], "g")
        else:
            held = history.in_hand[str(arguments[0])]
            if name == "consume":
                found = await bus.consume(
                    [SEED],
                    group="g",
                    consumer=str(arguments[0]),
                    limit=int(str(arguments[1])),
                    wait_seconds=0.0,
                )
                assert not set(numbers(found)) & history.done
                held += found
            elif held and name == "bury":
                delivery = held.pop(0)
                await bus.bury(delivery, "bad")
                history.done |= set(numbers([delivery]))
            elif name == "ack":
                count = int(str(arguments[1]))
                await bus.ack(held[:count])
                history.done |= set(numbers(held[:count]))
                del held[:count]
    await bus.join([SEED], "g")
    rest = [*await everything(bus, "g", "a"), *await everything(bus, "g", "b")]
    assert set(numbers(rest)) | history.done == set(range(history.published))
    assert not set(numbers(rest)) & history.done


@pytest.mark.parametrize("kind", ["in-process", "valkey"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, max_size=30))
def test_every_message_is_given_until_it_is_done_with_and_never_again(
    kind: str, calls: list[tuple[object, ...]], valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    async def run() -> None:
        place = BusPlace(valkey_server.url if kind == "valkey" else None, tmp_path)
        try:
            await lived(place, calls)
        finally:
            await place.close()

    asyncio.run(run())
