"""Turns: one at a time for a key, and nothing left behind."""

from __future__ import annotations

import asyncio

import pytest

from esper.services.urza.idempotency import Turns


@pytest.mark.asyncio
async def test_those_with_one_key_take_turns_and_others_do_not_wait() -> None:
    turns, seen = Turns(), []

    async def work(key: str) -> None:
        async with turns.turn(key, "route"):
            seen.append(f"{key} in")
            await asyncio.sleep(0)
            seen.append(f"{key} out")

    await asyncio.gather(work("a"), work("a"), work("b"))
    of_a = [entry for entry in seen if entry.startswith("a")]
    assert of_a == ["a in", "a out", "a in", "a out"]
    assert seen.index("b in") < seen.index("a out")


@pytest.mark.asyncio
async def test_nothing_is_remembered_of_a_turn_that_is_over() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.turn("a"):
            raise ValueError("broken")
    assert not turns._locks
