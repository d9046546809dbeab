"""`esper control`: changes a seed of a model that trains, or stops the run."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from esper.cli.console import diagnostics, output, print_error, print_notice, say
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import Redis, first_problem
from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.errors import BusError, ConfigError
from esper.contracts.events import CommandCarriedOut, CommandRefused
from esper.contracts.messages import KasminaControlCommand, OonaMessage, StopTraining
from esper.contracts.ports import Bus
from esper.contracts.records import parse_record
from esper.utils.nearest import did_you_mean
from esper.utils.run_identity import read_identity

with later():
    from esper.hosting import bus_access

NOUN = Noun(extra="oona")

STOP: Final = "stop"
ACTIONS: Final = {
    "load": KasminaAction.LOAD_KERNEL,
    "unload": KasminaAction.UNLOAD_KERNEL,
    "set-alpha": KasminaAction.SET_ALPHA,
    "cull": KasminaAction.CULL,
    "freeze": KasminaAction.FREEZE,
    "fossilize": KasminaAction.FOSSILIZE,
    STOP: None,
}
_TOPIC: Final = TopicNames.CONTROL_KASMINA_COMMANDS
_GROUP: Final = "tolaria."
"""What the group of a run that takes commands begins with; its id follows."""
_PAUSE_SECONDS: Final = 0.1
_CLOCKS_DIFFER_SECONDS: Final = 60.0
"""By how much this machine's clock may be ahead of the server's."""
_REASON: Final = "asked for on the command line"
_WAIT_SECONDS: Final = 60.0

Command = KasminaControlCommand | StopTraining
Result = CommandCarriedOut | CommandRefused


@NOUN.command(
    "control",
    "esper control 1a2b3c set-alpha net.0 --alpha 0.5",
    "esper control runs/mnist1d-001 load net.0#1 --kernel 9f86d0...",
    "esper control 1a2b3c cull net.0",
    "esper control 1a2b3c stop --reason 'good enough'",
)
async def control(
    *,
    run: Annotated[str, typer.Argument()],
    action: Annotated[str, typer.Argument(metavar="|".join(ACTIONS))],
    seed: Annotated[str | None, typer.Argument(metavar="[LAYER[#SLOT]]")] = None,
    kernel: Annotated[str | None, typer.Option(metavar="ID")] = None,
    alpha: float | None = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help=f"stop: goes into the run's log; default: {_REASON}."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait")] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help=f"How long to wait for the result; default: {_WAIT_SECONDS:.0f}.",
        ),
    ] = None,
    redis: Redis = None,
) -> int:
    """Change a seed of a model that trains, or stop the run.

    The command is carried out at the run's next step boundary, once, and its
    result is shown. A seed that growth is busy with is left alone, and the
    command refused.

    Options:
        run: Id of the run, the beginning of its id, or its folder.
        action: What to do.
        seed: Which seed; slot 0 if none is said. Not for stop.
        kernel: load: the kernel, 64 hexadecimal digits.
        alpha: set-alpha: the blending coefficient, 0 to 1.
        no_wait: Do not wait for the result.
    """
    _check(action, seed=seed, kernel=kernel, alpha=alpha, reason=reason)
    if no_wait and wait is not None:
        raise ConfigError("--no-wait and --wait contradict each other: give one of them")
    seconds = None if no_wait else _WAIT_SECONDS if wait is None else wait
    command = _command(run, action, seed, kernel, alpha, reason)
    try:
        result = await _send(command, redis, seconds)
    except asyncio.CancelledError:  # Ctrl-C cancels what is awaited
        print_notice(diagnostics(), "not waiting any longer; the command stays on the bus")
        return ExitCode.INTERRUPTED
    if isinstance(result, CommandCarriedOut):
        say(output(), ("done", "good"), f" at step {result.step:,}: {result.command}")
        return ExitCode.OK
    if isinstance(result, CommandRefused):
        print_error(diagnostics(), f"refused at step {result.step:,}: {result.reason}")
        return ExitCode.REFUSED
    if seconds is None:
        say(output(), f"sent: command {command.command_id}")
        return ExitCode.OK
    print_error(
        diagnostics(),
        f"no answer after {seconds:.0f} s; the command {command.command_id} stays on "
        "the bus, and is carried out when the run reaches the end of a step, or is resumed",
    )
    return ExitCode.UNAVAILABLE


def _check(action: str, **given: object) -> None:
    """Refuse an action that is none, lacks what it needs, or is given what it does not use."""
    if action not in ACTIONS:
        raise ConfigError(f"no action {action!r}. {did_you_mean(action, list(ACTIONS))}")
    needs = {
        "LAYER": ("seed", action != STOP),
        "--kernel ID": ("kernel", action == "load"),
        "--alpha ALPHA": ("alpha", action == "set-alpha"),
    }
    for name, (key, needed) in needs.items():
        if (given[key] is not None) != needed:
            raise ConfigError(f"{action} {'needs' if needed else 'takes no'} {name}")
    if given["reason"] is not None and action != STOP:
        raise ConfigError(f"{action} takes no --reason")


def _command(
    run: str,
    action: str,
    seed: str | None,
    kernel: str | None,
    alpha: float | None,
    reason: str | None,
) -> Command:
    identity = read_identity(Path(run)) if Path(run).is_dir() else None
    run_id = run if identity is None else identity.run_id
    layer, _, slot = (seed or "").partition("#")
    if slot and not slot.isdecimal():
        raise ConfigError(f"{seed!r}: the slot is a number; write LAYER#SLOT, like net.0#1")
    try:
        if seed is None:
            return StopTraining(run_id=run_id, reason=_REASON if reason is None else reason)
        return KasminaControlCommand.model_validate(
            {
                "run_id": run_id,
                "action": ACTIONS[action],
                "layer_name": layer,
                "seed_idx": int(slot or 0),
                "kernel_id": kernel,
                "alpha": alpha,
            }
        )
    except ValidationError as error:
        raise ConfigError(first_problem(error)) from None


async def _send(command: Command, redis: str | None, wait_seconds: float | None) -> Result | None:
    async with bus_access.shared_bus(redis) as bus:
        run_id = await _run_id(bus, command.run_id)
        meant = command.model_copy(update={"run_id": run_id})
        since = str(int((time.time() - _CLOCKS_DIFFER_SECONDS) * 1000))
        sender = f"cli/{socket.gethostname()}-{os.getpid()}"
        await bus.publish([OonaMessage.of(meant, sender_id=sender, topic=_TOPIC)])
        if wait_seconds is None:
            return None
        try:
            async with asyncio.timeout(wait_seconds):
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
