from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.errors import KernelNotFoundError
from esper.contracts.messages import Command, KasminaControlCommand, OonaMessage, StopTraining
from esper.contracts.ports import Bus
from esper.execution.artifact import KernelArtifact
from esper.services.oona.open import open_bus
from esper.services.tolaria.run_control import Control
from support.publishers import KeepingPublisher

TOPIC = TopicNames.CONTROL_KASMINA_COMMANDS
KERNEL = "ab" * 32


def stop_of(run_id: str = "mine", command_id: str = "one") -> StopTraining:
    return StopTraining(run_id=run_id, reason="enough", command_id=command_id)


def message(command: Command) -> OonaMessage:
    return OonaMessage.of(command, sender_id="tests/one", topic=TOPIC, trace_id="ef" * 16)


def nothing(kernel_id: str) -> KernelArtifact:
    raise KernelNotFoundError(f"no kernel {kernel_id}")


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  # what it waits for has no event
        await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(bus: Bus, control: Control) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(control.listen(bus, KeepingPublisher(), stop))
    yield
    stop.set()
    await task


async def pending(bus: Bus) -> list[tuple[str, int, int]]:
    return [(one.group, one.waiting, one.pending) for one in await bus.lag() if one.topic is TOPIC]


async def acknowledged(bus: Bus) -> None:
    while await pending(bus) != [("tolaria.mine", 0, 0)]:  # noqa: ASYNC110  # it has no event
        await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_a_command_waits_for_the_loop_and_is_acknowledged_when_a_checkpoint_holds_it() -> (
    None
):
    bus, control = await open_bus(None), Control()
    await bus.publish([message(stop_of())])  # before anybody listens
    control.open("mine", (), nothing)
    async with listening(bus, control):
        await until(lambda: bool(control.waiting))
        assert control.waiting[0].command == stop_of()
        assert control.waiting[0].trace_id == "ef" * 16
        assert await pending(bus) == [("tolaria.mine", 0, 1)]
        control.settle(["one"])
        await acknowledged(bus)


@pytest.mark.asyncio
async def test_what_was_not_acknowledged_comes_again_in_the_next_attempt() -> None:
    bus, first, second = await open_bus(None), Control(), Control()
    for control in (first, second):
        control.open("mine", (), nothing)
        async with listening(bus, control):
            if control is first:
                await bus.publish([message(stop_of())])
            await until(lambda control=control: bool(control.waiting))
    assert second.waiting[0].command == stop_of()


@pytest.mark.asyncio
async def test_a_command_that_a_checkpoint_holds_is_not_carried_out_again() -> None:
    bus, control = await open_bus(None), Control()
    control.open("mine", ["one"], nothing)
    async with listening(bus, control):
        await bus.publish([message(stop_of()), message(stop_of(command_id="two"))])
        await until(lambda: bool(control.waiting))
        assert [order.command.command_id for order in control.waiting] == ["two"]
        assert await pending(bus) == [("tolaria.mine", 0, 1)]


@pytest.mark.asyncio
async def test_a_command_that_was_sent_twice_is_carried_out_once_and_both_are_acknowledged() -> (
    None
):
    bus, control = await open_bus(None), Control()
    control.open("mine", (), nothing)
    async with listening(bus, control):
        await bus.publish([message(stop_of()), message(stop_of()), message(stop_of("mine", "two"))])
        await until(lambda: len(control.waiting) == 2)
        control.settle(["one", "two"])
        await acknowledged(bus)


@pytest.mark.asyncio
async def test_commands_for_other_runs_are_passed_over_and_nonsense_is_buried() -> None:
    bus, control = await open_bus(None), Control()
    control.open("mine", (), nothing)
    nonsense = message(stop_of()).model_copy(
        update={"payload": {"run_id": "mine", "kind": "Jump"}, "event_id": "n"}
    )
    async with listening(bus, control):
        await bus.publish([message(stop_of("another", "other")), nonsense, message(stop_of())])
        await until(lambda: bool(control.waiting))
    assert [order.command.command_id for order in control.waiting] == ["one"]
    (dead,) = await bus.dead(TOPIC)
    assert "no command" in dead.error


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [KernelNotFoundError("no such kernel"), RuntimeError("broken")])
async def test_a_kernel_that_cannot_be_had_is_told_and_keeps_no_other_command_away(
    error: Exception,
) -> None:
    bus, control = await open_bus(None), Control()

    def fail(kernel_id: str) -> KernelArtifact:
        raise error

    control.open("mine", (), fail)
    load = KasminaControlCommand(
        run_id="mine",
        action=KasminaAction.LOAD_KERNEL,
        layer_name="0",
        seed_idx=0,
        kernel_id=KERNEL,
    )
    async with listening(bus, control):
        await bus.publish([message(load), message(stop_of())])
        await until(lambda: len(control.waiting) == 2)
    assert str(error) in (control.waiting[0].trouble or "")
    assert control.waiting[1].trouble is None


@pytest.mark.asyncio
async def test_the_group_of_a_run_that_has_ended_is_removed() -> None:
    bus, control = await open_bus(None), Control()
    control.open("mine", (), nothing)
    async with listening(bus, control):
        await bus.publish([message(stop_of())])
        await until(lambda: bool(control.waiting))
        control.settle(["one"])
    assert await pending(bus) == []
    assert await bus.lag() == []


@pytest.mark.asyncio
async def test_a_run_that_goes_on_gets_what_was_sent_meanwhile_and_nothing_twice() -> None:
    bus, control = await open_bus(None), Control()
    control.open("mine", (), nothing)
    async with listening(bus, control):
        await bus.publish([message(stop_of())])
        await until(lambda: bool(control.waiting))
        control.settle(["one"])
    later = StopTraining(run_id="mine", reason="now", command_id="two")
    await bus.publish([message(later)])
    resumed = Control()
    resumed.open("mine", ["one"], nothing)
    async with listening(bus, resumed):
        await until(lambda: bool(resumed.waiting))
        assert [order.command.command_id for order in resumed.waiting] == ["two"]


@pytest.mark.asyncio
async def test_a_trainer_that_never_begins_a_run_takes_nothing() -> None:
    bus, control = await open_bus(None), Control()
    async with listening(bus, control):
        await bus.publish([message(stop_of())])
    assert await pending(bus) == []
