"""`esper bus` and `esper control` against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import Result
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.exit_codes import ExitCode
from esper.contracts.enums import TopicNames
from esper.contracts.events import CommandCarriedOut, CommandRefused
from esper.contracts.messages import OonaMessage, StopTraining
from esper.contracts.ports import Bus
from esper.contracts.records import RunLine, RunRecords
from esper.services.oona.open import open_bus
from support import forked, logged_runs
from support.servers.server import free_port
from support.servers.valkey import ValkeyServer

T = TypeVar("T")
RUN = "0123456789abcdef0123456789abcdef"
TOPIC = TopicNames.TELEMETRY_TRAINING
COMMANDS = TopicNames.CONTROL_KASMINA_COMMANDS


@pytest.fixture
def url(valkey_place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("ESPER_REDIS_URL", valkey_place)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    return valkey_place


def on(url: str, work: Callable[[Bus], Awaitable[T]]) -> T:
    async def within() -> T:
        bus = await open_bus(url)
        try:
            return await work(bus)
        finally:
            await bus.close()

    return asyncio.run(within())


def records(*lines: logged_runs.Line) -> RunRecords:
    numbered = tuple(RunLine(position=at, body=line) for at, line in enumerate(lines))
    return RunRecords(run_id=RUN, attempt=0, lines=numbered)


def message(step: int) -> OonaMessage:
    body = records(logged_runs.step(step, 1.0))
    return OonaMessage.of(body, sender_id="tolaria/one", topic=TOPIC)


def publish(url: str, *messages: OonaMessage) -> None:
    on(url, lambda bus: bus.publish(messages))


def esper(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def give_up(url: str, *messages: OonaMessage) -> None:
    async def consume(bus: Bus) -> None:
        await bus.join([TOPIC], "nissa", since="0")
        await bus.publish(messages)
        for delivery in await bus.consume([TOPIC], group="nissa", consumer="one"):
            await bus.bury(delivery, "the disk is full")

    on(url, consume)


def test_replay_shows_what_a_topic_holds_and_delivers_nothing(url: str) -> None:
    publish(url, message(10), message(20), message(30))
    shown = esper("bus", "replay", TOPIC.value)
    assert [line.rpartition(", ")[2] for line in shown.output.splitlines()] == [
        "step 10: step",
        "step 20: step",
        "step 30: step",
    ]
    assert on(url, lambda bus: bus.lag()) == []


def test_replay_begins_and_ends_where_it_is_told_and_prints_whole_messages(url: str) -> None:
    sent = [message(10), message(20), message(30)]
    publish(url, *sent)
    lines = esper("bus", "replay", TOPIC.value, "--json").output.splitlines()
    positions = [json.loads(line)["position"] for line in lines]
    shown = esper(
        "bus", "replay", TOPIC.value, "--json", "--since", positions[1], "--until", positions[1]
    )
    (line,) = shown.output.splitlines()
    assert json.loads(line)["event_id"] == sent[1].event_id
    assert len(esper("bus", "replay", TOPIC.value, "--limit", "2").output.splitlines()) == 2
    assert esper("bus", "replay", TOPIC.value, "--until", "1h").output == ""


def test_stats_show_how_far_each_group_is_behind(url: str) -> None:
    on(url, lambda bus: bus.join([TOPIC], "nissa"))
    publish(url, message(10), message(20))
    (group,) = json.loads(esper("bus", "stats", "--json").output)["groups"]
    assert (group["group"], group["waiting"], group["pending"]) == ("nissa", 2, 0)
    assert "nissa" in esper("bus", "stats").output


def test_dead_letters_are_listed_shown_and_published_again(url: str) -> None:
    sent = [message(10), message(20)]
    give_up(url, *sent)
    (first, second) = json.loads(esper("bus", "dead", "list", "--json").output)
    assert first["error"] == "the disk is full"
    assert "2 messages of telemetry.training given up" in esper("bus", "stats").output
    whole = esper("bus", "dead", "show", TOPIC.value, first["dead_id"])
    assert OonaMessage.model_validate(json.loads(whole.output)["message"]) == sent[0]

    assert esper("bus", "dead", "retry", TOPIC.value, second["dead_id"]).exit_code == ExitCode.OK
    assert len(json.loads(esper("bus", "dead", "list", TOPIC.value, "--json").output)) == 1
    assert esper("bus", "dead", "retry", TOPIC.value, "--all").exit_code == ExitCode.OK
    assert json.loads(esper("bus", "dead", "list", "--json").output) == []
    again = esper("bus", "replay", TOPIC.value, "--json").output.splitlines()[-2:]
    assert {json.loads(line)["event_id"] for line in again} == {one.event_id for one in sent}


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = forked.Popen(
        [sys.executable, "-m", "esper.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_tail_shows_messages_as_they_come_until_ctrl_c(url: str) -> None:
    publish(url, message(10))
    with started("bus", "tail", TOPIC.value, "--since", "1m") as process:
        assert process.stdout
        assert "step 10" in process.stdout.readline()
        publish(url, message(20))
        assert "step 20" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (ExitCode.OK, "")
    assert on(url, lambda bus: bus.lag()) == []


def test_tail_warns_once_of_an_entry_that_it_cannot_read(
    url: str, valkey_server: ValkeyServer
) -> None:
    with started("bus", "tail", TOPIC.value, "--since", "1m") as process:
        assert process.stdout
        assert process.stderr
        publish(url, message(10))
        assert "step 10" in process.stdout.readline()
        valkey_server.ask(f"XADD esper:{TOPIC.value} * m nonsense")
        assert "Leaving out an entry" in process.stderr.readline()
        time.sleep(0.6)  # long enough for another look
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert errors == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("bus", "tail"),
        ("bus", "stats"),
        ("bus", "replay", "events.seed"),
        ("bus", "dead", "list"),
        ("control", "run", "cull", "0"),
    ],
)
def test_a_server_that_is_away_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    result = esper(*arguments, "--redis", away)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr.startswith("Error: the bus at 127.0.0.1:")
    assert len(result.stderr.splitlines()) == 1


def test_no_bus_at_all_is_told_with_the_ways_to_name_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ESPER_REDIS_URL", raising=False)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    result = esper("bus", "stats")
    assert result.exit_code == ExitCode.USAGE
    assert "give --redis URL, set ESPER_REDIS_URL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bus", "tail", "event.seed"), "Did you mean 'events.seed'"),
        (("bus", "replay", "events.seed", "--since", "then"), "give an age"),
        (("bus", "dead", "retry", "events.seed"), "give their ids, or --all"),
        (("bus", "dead", "retry", "events.seed", "1-1", "--all"), "give their ids, or --all"),
        (("control", "run", "kill", "0"), "no action 'kill'. Did you mean 'cull'"),
        (("control", "run", "cull"), "cull needs LAYER"),
        (("control", "run", "stop", "0"), "stop takes no LAYER"),
        (("control", "run", "load", "0"), "load needs --kernel ID"),
        (("control", "run", "cull", "0", "--alpha", "1"), "cull takes no --alpha"),
        (("control", "run", "set-alpha", "0", "--alpha", "2"), "less than or equal to 1"),
        (("control", "run", "cull", "0#one"), "write LAYER#SLOT"),
        (("control", "run", "load", "0", "--kernel", "abc"), "kernel_id 'abc'"),
    ],
)
@pytest.mark.usefixtures("url")
def test_what_is_asked_for_wrongly_is_a_usage_error(arguments: tuple[str, ...], words: str) -> None:
    result = esper(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert words in result.stderr


@pytest.mark.usefixtures("url")
def test_a_dead_letter_that_is_not_there_is_refused() -> None:
    for verb in ("show", "retry"):
        result = esper("bus", "dead", verb, "events.seed", "1-1")
        assert result.exit_code == ExitCode.REFUSED
        assert "no dead letter '1-1'" in result.stderr


@contextmanager
def trainer(url: str, reason: str | None = None) -> Iterator[list[OonaMessage]]:
    """A run that answers every command: carried out, or refused for a reason."""
    taken: list[OonaMessage] = []
    joined, stop = threading.Event(), threading.Event()

    async def listen(bus: Bus) -> None:
        await bus.join([COMMANDS], f"tolaria.{RUN}")
        joined.set()
        while not stop.is_set():
            batch = await bus.consume(
                [COMMANDS], group=f"tolaria.{RUN}", consumer="one", wait_seconds=0.1
            )
            for delivery in batch:
                taken.append(delivery.message)
                command_id = str(delivery.message.payload["command_id"])
                event = (
                    CommandCarriedOut(step=7, command_id=command_id, command="cull 0#0")
                    if reason is None
                    else CommandRefused(
                        step=7, command_id=command_id, command="cull 0#0", reason=reason
                    )
                )
                line = {"type": "event", **event.model_dump(mode="json")}
                topic = TopicNames.CONTROL_RESULTS
                result = OonaMessage.of(records(line), sender_id="tolaria/one", topic=topic)
                await bus.publish([result])
            await bus.ack(batch)

    thread = threading.Thread(target=on, args=(url, listen))
    thread.start()
    assert joined.wait(300)
    try:
        yield taken
    finally:
        stop.set()
        thread.join(300)


def test_a_command_reaches_the_run_and_its_result_is_shown(url: str) -> None:
    with trainer(url) as taken:
        result = esper("control", RUN[:6], "set-alpha", "net.0#1", "--alpha", "0.25")
    assert (result.exit_code, result.output) == (ExitCode.OK, "done at step 7: cull 0#0\n")
    (command,) = (one.payload for one in taken)
    assert (command["run_id"], command["action"]) == (RUN, "set_alpha")
    assert (command["layer_name"], command["seed_idx"], command["alpha"]) == ("net.0", 1, 0.25)


def test_a_run_is_meant_by_its_folder_too(url: str, tmp_path: Path) -> None:
    folder = logged_runs.begun(tmp_path / "run", RUN)
    with trainer(url) as taken:
        assert esper("control", str(folder), "stop", "--reason", "enough").exit_code == ExitCode.OK
    assert StopTraining.model_validate(taken[0].payload).reason == "enough"


def test_a_refusal_is_shown_with_its_reason(url: str) -> None:
    with trainer(url, "growth is busy with it"):
        result = esper("control", RUN, "cull", "0")
    assert result.exit_code == ExitCode.REFUSED
    assert "refused at step 7: growth is busy with it" in result.stderr


def test_a_run_that_does_not_answer_in_time_leaves_the_command_on_the_bus(url: str) -> None:
    on(url, lambda bus: bus.join([COMMANDS], f"tolaria.{RUN}"))
    begun = time.monotonic()
    result = esper("control", RUN, "cull", "0", "--wait", "0.3")
    assert time.monotonic() - begun >= 0.3
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "stays on the bus" in result.stderr
    (group,) = on(url, lambda bus: bus.lag())
    assert group.waiting == 1


def test_ctrl_c_ends_the_waiting_and_leaves_the_command_on_the_bus(url: str) -> None:
    def waiting() -> int:
        (group,) = on(url, lambda bus: bus.lag())
        return group.waiting

    on(url, lambda bus: bus.join([COMMANDS], f"tolaria.{RUN}"))
    with started("control", RUN, "cull", "0") as process:
        while not waiting():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "the command stays on the bus" in errors
    assert waiting() == 1


def test_without_waiting_the_command_is_only_sent(url: str) -> None:
    on(url, lambda bus: bus.join([COMMANDS], f"tolaria.{RUN}"))
    result = esper("control", RUN, "cull", "0", "--no-wait")
    assert result.exit_code == ExitCode.OK
    assert result.output.startswith("sent: command ")


def test_a_run_that_does_not_listen_is_told_with_those_that_do(url: str) -> None:
    on(url, lambda bus: bus.join([COMMANDS], f"tolaria.{RUN}"))
    result = esper("control", "fedcba", "cull", "0")
    assert result.exit_code == ExitCode.REFUSED
    assert "no run 'fedcba' takes commands from this bus" in result.stderr
    assert RUN in result.stderr


def test_a_beginning_that_fits_several_runs_is_refused(url: str) -> None:
    for run in (RUN, RUN[::-1].replace("f", "0")):
        on(url, lambda bus, run=run: bus.join([COMMANDS], f"tolaria.{run}"))
    assert "several runs begin with '0'" in esper("control", "0", "cull", "0").stderr
