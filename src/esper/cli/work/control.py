"""Sends a command to a training run, and shows what came of it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from rich.text import Text

from esper.cli.bus_requests import ControlRequest
from esper.cli.commands.control import ACTIONS
from esper.cli.console import diagnostics, output, print_error, print_notice
from esper.cli.exit_codes import ExitCode
from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.errors import BusError, ConfigError
from esper.contracts.events import CommandCarriedOut, CommandRefused
from esper.contracts.messages import KasminaControlCommand, OonaMessage, StopTraining
from esper.contracts.ports import Bus
from esper.contracts.records import parse_record
from esper.hosting.bus_access import shared_bus
from esper.utils.nearest import did_you_mean
from esper.utils.run_identity import read_identity

_TOPIC: Final = TopicNames.CONTROL_KASMINA_COMMANDS
_GROUP: Final = "tolaria."
"""What the group of a run that takes commands begins with; its id follows."""
_ACTIONS: Final = {
    "load": KasminaAction.LOAD_KERNEL,
    "unload": KasminaAction.UNLOAD_KERNEL,
    "set-alpha": KasminaAction.SET_ALPHA,
    "cull": KasminaAction.CULL,
    "freeze": KasminaAction.FREEZE,
    "fossilize": KasminaAction.FOSSILIZE,
}
_PAUSE_SECONDS: Final = 0.1
_CLOCKS_DIFFER_SECONDS: Final = 60.0
"""By how much this machine's clock may be ahead of the server's."""

Result = CommandCarriedOut | CommandRefused


def run(request: ControlRequest) -> int:
    """Carry out `esper control`.

    Raises:
        ConfigError: Something is missing, superfluous or misspelt, or nobody names a bus.
        BusError: No such run listens, or the bus cannot be reached.
    """
    command = _command(request)
    try:
        result = asyncio.run(_send(command, request))
    except KeyboardInterrupt:
        print_notice(diagnostics(), "not waiting any longer; the command stays on the bus")
        return ExitCode.INTERRUPTED
    if isinstance(result, CommandCarriedOut):
        line = Text.assemble(("done", "good"), f" at step {result.step:,}: {result.command}")
        output().print(line, soft_wrap=True)
        return ExitCode.OK
    if isinstance(result, CommandRefused):
        print_error(diagnostics(), f"refused at step {result.step:,}: {result.reason}")
        return ExitCode.REFUSED
    if request.wait_seconds is None:
        output().print(Text(f"sent: command {command.command_id}"), soft_wrap=True)
        return ExitCode.OK
    print_error(
        diagnostics(),
        f"no answer after {request.wait_seconds:.0f} s; the command {command.command_id} stays on "
        "the bus, and is carried out when the run reaches the end of a step, or is resumed",
    )
    return ExitCode.UNAVAILABLE


def _command(request: ControlRequest) -> KasminaControlCommand | StopTraining:
    """The command, for the run that is meant, or the beginning of its id."""
    if request.action not in ACTIONS:
        raise ConfigError(f"no action {request.action!r}. {did_you_mean(request.action, ACTIONS)}")
    wanted = {
        "LAYER": (request.seed, request.action != "stop"),
        "--kernel ID": (request.kernel, request.action == "load"),
        "--alpha ALPHA": (request.alpha, request.action == "set-alpha"),
    }
    for name, (given, needed) in wanted.items():
        if (given is not None) != needed:
            verb = "needs" if needed else "takes no"
            raise ConfigError(f"{request.action} {verb} {name}")
    identity = read_identity(Path(request.run)) if Path(request.run).is_dir() else None
    run = request.run if identity is None else identity.run_id
    layer, _, slot = (request.seed or "").partition("#")
    if slot and not slot.isdecimal():
        raise ConfigError(f"{request.seed!r}: the slot is a number; write LAYER#SLOT, like net.0#1")
    try:
        if request.seed is None:
            return StopTraining(run_id=run, reason=request.reason)
        return KasminaControlCommand(
            run_id=run,
            action=_ACTIONS[request.action],
            layer_name=layer,
            seed_idx=int(slot or 0),
            kernel_id=request.kernel,
            alpha=request.alpha,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place} {first.get('input')!r}: {first['msg']}") from None


async def _send(
    command: KasminaControlCommand | StopTraining, request: ControlRequest
) -> Result | None:
    async with shared_bus(request.redis) as bus:
        run_id = await _run_id(bus, command.run_id)
        meant = command.model_copy(update={"run_id": run_id})
        since = str(int((time.time() - _CLOCKS_DIFFER_SECONDS) * 1000))
        sender = f"cli/{socket.gethostname()}-{os.getpid()}"
        await bus.publish([OonaMessage.of(meant, sender_id=sender, topic=_TOPIC)])
        if request.wait_seconds is None:
            return None
        try:
            async with asyncio.timeout(request.wait_seconds):
                return await _result(bus, command.command_id, since)
        except TimeoutError:
            return None


async def _run_id(bus: Bus, run: str) -> str:
    """The run that is meant, among those that take commands from this bus."""
    lag = await bus.lag()
    listening = sorted(
        group.group.removeprefix(_GROUP)
        for group in lag
        if group.topic is _TOPIC and group.group.startswith(_GROUP)
    )
    found = [known for known in listening if known.startswith(run)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(listening) if listening else "none"
    if found:
        raise BusError(f"several runs begin with {run!r}; give more of the id. Known: {known}")
    raise BusError(
        f"no run {run!r} takes commands from this bus: it has ended, or trains without it. "
        f"Known: {known}"
    )


async def _result(bus: Bus, command_id: str, since: str) -> Result:
    """Wait for what came of a command; read, not consumed: nobody else gets fewer for it."""
    while True:
        async for position, message in bus.replay(TopicNames.CONTROL_RESULTS, since=since):
            since = position
            lines: Any = message.payload.get("lines", [])
            for line in lines:
                if line["body"].get("command_id") == command_id:
                    record = parse_record(line["body"])
                    assert isinstance(record, Result)  # nothing else has a command's id
                    return record
        await asyncio.sleep(_PAUSE_SECONDS)
