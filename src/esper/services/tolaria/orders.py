"""Orders: carries out, at the boundary of a step, what was asked for over the bus."""

from __future__ import annotations

import signal
from collections import deque

from esper.contracts.enums import KasminaAction
from esper.contracts.errors import EsperError, TrainingError
from esper.contracts.events import CommandCarriedOut, CommandRefused
from esper.contracts.messages import StopTraining
from esper.services.tolaria.run_control import Control, Order
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.telemetry import Telemetry


class Orders:
    """The commands of one attempt at a run, each carried out once, however often it arrives.

    Args:
        session: what is trained.
        progress: knows which commands were carried out; a checkpoint holds it.
        control: where commands come from; None has none.
        telemetry: takes what became of them.
        stop: asked where the run is to stop.
    """

    def __init__(
        self,
        session: Session,
        progress: Progress,
        control: Control | None,
        telemetry: Telemetry,
        stop: StopRequest,
    ) -> None:
        self._session = session
        self._progress = progress
        self._control = control
        self._telemetry = telemetry
        self._stop = stop
        self._settled = len(progress.commands)
        self.waiting: deque[Order] = deque() if control is None else control.waiting
        """Those that are to be carried out."""

    def carry_out(self) -> None:
        """Carry out what can be carried out now; the rest keeps its order, and waits."""
        blocked = False
        for _ in range(len(self.waiting)):
            order = self.waiting.popleft()
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
                self.waiting.append(order)

    def settle(self) -> None:
        """A checkpoint was written: what it holds can be acknowledged."""
        if self._control is not None:
            self._control.settle(self._progress.commands[self._settled :])
            self._settled = len(self._progress.commands)

    def end(self) -> None:
        """Refuse what still waits: the run is over."""
        while self.waiting:
            self._close(self.waiting.popleft(), "the run is over")

    def _is_done(self, order: Order, *, blocked: bool) -> bool:
        command, orchestrator = order.command, self._session.orchestrator
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
        command_id = order.command.command_id
        self._progress.commands.append(command_id)
        said = {"step": self._progress.step, "command_id": command_id, "command": words(order)}
        event: CommandCarriedOut | CommandRefused
        if refusal is None:
            event = CommandCarriedOut.model_validate(said)
        else:
            event = CommandRefused.model_validate({**said, "reason": refusal})
        record = {"type": "event", **event.model_dump(mode="json")}
        self._telemetry.write(record, trace_id=order.trace_id)


def words(order: Order) -> str:
    """A command in a few words, for people."""
    command = order.command
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
