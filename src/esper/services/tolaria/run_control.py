"""Control: commands for a run, from the bus to the training loop, and back as acknowledgements.

`listen` runs beside the link to the bus and puts commands into `waiting`, their kernels fetched;
the loop takes them out at the boundary of a step (`Orders`). A command is acknowledged when a
checkpoint holds that it was carried out, so that a run which is killed before finds it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.errors import EsperError, TrainingError
from esper.contracts.events import CommandCarriedOut, CommandRefused, Event
from esper.contracts.messages import KasminaControlCommand, StopTraining, parse_command, run_group
from esper.contracts.ports import Bus, Delivery, Publisher
from esper.execution.artifact import KernelArtifact
from esper.orchestration.orchestrator import SeedOrchestrator
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.telemetry import Telemetry

logger = logging.getLogger(__name__)

Fetch = Callable[[str], KernelArtifact]
"""Returns the kernel of an id; blocks meanwhile."""

RunCommand = KasminaControlCommand | StopTraining
"""What may be said to a run."""

_TOPICS: Final = (TopicNames.CONTROL_KASMINA_COMMANDS,)
_CONSUMER: Final = "trainer"
"""The same after a restart, which gets what was pending; a run has one trainer at a time."""
_WAIT_SECONDS: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Order:
    """A command that is ready to be carried out."""

    command: RunCommand
    """What to do."""
    trace_id: str
    """Trace that it belongs to."""
    kernel: KernelArtifact | None = None
    """What to load, where a kernel is to be loaded."""
    trouble: str | None = None
    """Why that kernel cannot be had."""


class Control:
    """The inbox of one run. The loop's methods neither wait nor raise."""

    def __init__(self) -> None:
        self.waiting: deque[Order] = deque()
        """Commands to be carried out, in the order in which they came."""
        self.run_id: str | None = None
        """Whose commands are taken; None until the run has begun."""
        self._fetch: Fetch | None = None
        self._settled: deque[str] = deque()
        """Ids of commands that a checkpoint holds, on their way to the listener."""
        self._done: set[str] = set()
        """The same, arrived there."""
        self._held: dict[str, list[Delivery]] = {}
        """What is not acknowledged yet, by id of the command."""

    # The loop's side ------------------------------------------------------------------------------

    def open(self, run_id: str, carried_out: Iterable[str], fetch: Fetch) -> None:
        """Begin to take commands.

        Args:
            run_id: whose.
            carried_out: ids of commands that the run's checkpoint holds.
            fetch: gets kernels, on another thread than the loop's.
        """
        self._settled.extend(carried_out)
        self._fetch = fetch
        self.run_id = run_id

    def settle(self, carried_out: Iterable[str]) -> None:
        """Say that a checkpoint holds these commands."""
        self._settled.extend(carried_out)

    # The bus's side -------------------------------------------------------------------------------

    async def listen(self, bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        """Take commands off the bus until `stop` is set. A link's companion.

        Raises:
            BusUnavailableError: the bus is away; call it again later.
        """
        del publisher
        run_id = await self._opened(stop)
        if run_id is None:
            return
        group = run_group(run_id)
        # From the beginning: a run that goes on finds what was sent meanwhile, and a checkpoint
        # knows what was carried out.
        await bus.join(_TOPICS, group, since="0")
        while not stop.is_set():
            await self._acknowledge(bus)
            for delivery in await bus.consume(
                _TOPICS, group=group, consumer=_CONSUMER, wait_seconds=_WAIT_SECONDS
            ):
                await self._take(bus, delivery, run_id)
        await self._acknowledge(bus)
        await bus.leave(_TOPICS, group)

    async def _opened(self, stop: asyncio.Event) -> str | None:
        while self.run_id is None and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _WAIT_SECONDS)
        return self.run_id

    async def _acknowledge(self, bus: Bus) -> None:
        while self._settled:
            command_id = self._settled[0]
            held = self._held.get(command_id, [])
            if held:
                await bus.ack(held)
            self._done.add(command_id)
            self._held.pop(command_id, None)
            self._settled.popleft()

    async def _take(self, bus: Bus, delivery: Delivery, run_id: str) -> None:
        payload = delivery.message.payload
        if payload.get("run_id") != run_id:
            await bus.ack([delivery])
            return
        try:
            command = parse_command(payload)
        except ValidationError as error:
            await bus.bury(delivery, f"it is no command: {error}")
            return
        assert isinstance(command, RunCommand)  # no other has a run
        if command.command_id in self._done:
            await bus.ack([delivery])
            return
        is_new = command.command_id not in self._held
        held = self._held.setdefault(command.command_id, [])
        if all(one.position != delivery.position for one in held):
            held.append(delivery)
        if is_new:
            self.waiting.append(await self._order(command, delivery.message.trace_id))

    async def _order(self, command: RunCommand, trace_id: str) -> Order:
        """The command with its kernel: the loop never waits for one."""
        kernel_id = command.kernel_id if isinstance(command, KasminaControlCommand) else None
        kernel = trouble = None
        if kernel_id is not None and self._fetch is not None:
            try:
                kernel = await asyncio.to_thread(self._fetch, kernel_id)
            except Exception as error:  # one command must not keep the others away; it is refused
                expected = isinstance(error, EsperError)
                logger.warning("No kernel %s for a command", kernel_id, exc_info=not expected)
                trouble = str(error) if expected else repr(error)
        return Order(command=command, trace_id=trace_id, kernel=kernel, trouble=trouble)


class Orders:
    """The commands of one attempt at a run, each carried out once, however often it arrives.

    Args:
        control: where commands come from.
        orchestrator: who grows the model; None where growth is off.
        progress: knows which commands were carried out; a checkpoint holds it.
        telemetry: takes what became of them.
        stop: asked where the run is to stop.
    """

    def __init__(
        self,
        control: Control,
        orchestrator: SeedOrchestrator | None,
        progress: Progress,
        telemetry: Telemetry,
        stop: StopRequest,
    ) -> None:
        self._control = control
        self._orchestrator = orchestrator
        self._progress = progress
        self._telemetry = telemetry
        self._stop = stop
        self._settled = len(progress.commands)
        self._waiting = control.waiting

    def carry_out(self) -> None:
        """Carry out what can be carried out now; the rest keeps its order, and waits."""
        blocked = False
        for _ in range(len(self._waiting)):
            order = self._waiting.popleft()
            if order.command.command_id in self._progress.commands:
                continue
            try:
                done = self._is_done(order, blocked=blocked)
            except EsperError as error:
                self._close(order, str(error))
                continue
            if done:
                self._close(order, None)
            else:
                blocked = True
                self._waiting.append(order)

    def settle(self) -> None:
        """A checkpoint was written: what it holds can be acknowledged."""
        self._control.settle(self._progress.commands[self._settled :])
        self._settled = len(self._progress.commands)

    def refuse_rest(self) -> None:
        """Refuse what still waits: the run is over."""
        while self._waiting:
            self._close(self._waiting.popleft(), "the run is over")

    def _is_done(self, order: Order, *, blocked: bool) -> bool:
        command, orchestrator = order.command, self._orchestrator
        if isinstance(command, StopTraining):
            self._stop.ask(signal.SIGTERM, command.reason)
            return True
        if orchestrator is None:
            raise TrainingError("growth is off in this run (grow: false): it has no seeds")
        if order.trouble is not None:
            raise TrainingError(order.trouble)
        # What came first is done first: only then does the same end come of the same commands.
        return not blocked and orchestrator.carry_out(command, order.kernel)

    def _close(self, order: Order, refusal: str | None) -> None:
        """Say what became of a command, and remember it."""
        command, step = order.command, self._progress.step
        self._progress.commands.append(command.command_id)
        told: Any = {"step": step, "command_id": command.command_id, "command": words(command)}
        if refusal is None:
            event: Event = CommandCarriedOut(**told)
        else:
            event = CommandRefused(**told, reason=refusal)
        self._telemetry.write(event, trace_id=order.trace_id)


def words(command: RunCommand) -> str:
    """A command in a few words, for people."""
    if isinstance(command, StopTraining):
        return f"stop: {command.reason}"
    place = f"seed {command.seed_idx} of layer '{command.layer_name}'"
    match command.action:
        case KasminaAction.LOAD_KERNEL:
            return f"load_kernel {command.kernel_id} into {place}"
        case KasminaAction.SET_ALPHA:
            return f"set_alpha {command.alpha} of {place}"
        case action:
            return f"{action.value} {place}"
