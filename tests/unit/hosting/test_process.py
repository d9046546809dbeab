from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from esper.hosting.hosting_config import HostingConfig
from esper.hosting.process import HostedProcess
from esper.hosting.service import ServiceState
from esper.utils.clock import SystemClock
from support.clocks import StillClock
from support.hosted import stand_in, until

pytestmark = pytest.mark.slow


def hosted_in(folder: Path, **settings: float) -> HostedProcess:
    quick = {"look_seconds": 0.05, "backoff_seconds": 0.05, "backoff_most_seconds": 0.1}
    config = HostingConfig(folder=folder, **{**quick, **settings})  # type: ignore[arg-type]  # times, all of them
    return HostedProcess(stand_in(folder), config, SystemClock())


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[HostedProcess]:
    found = hosted_in(tmp_path, hung_seconds=0.5)
    yield found
    found.kill()


def until_state(hosted: HostedProcess, state: ServiceState) -> None:
    until(lambda: hosted.state is state, doing=hosted.tend)


def pid_of(hosted: HostedProcess) -> int:
    pid = hosted.record().pid
    assert pid is not None
    return pid


def test_a_service_is_started_and_found_ready(hosted: HostedProcess) -> None:
    assert hosted.record().state is ServiceState.WAITING
    assert hosted.record().pid is None
    hosted.tend()
    assert hosted.state is ServiceState.STARTING
    until_state(hosted, ServiceState.READY)
    assert psutil.pid_exists(pid_of(hosted))
    assert hosted.record().restarts == 0


def test_a_service_that_was_killed_comes_back(hosted: HostedProcess) -> None:
    until_state(hosted, ServiceState.READY)
    killed = pid_of(hosted)
    os.kill(killed, signal.SIGKILL)
    until(lambda: hosted.failures == 1, doing=hosted.tend)
    until_state(hosted, ServiceState.READY)
    assert pid_of(hosted) != killed
    assert hosted.record().restarts == 1


def test_a_service_that_says_it_is_not_ready_is_left_alone(
    hosted: HostedProcess, tmp_path: Path
) -> None:
    until_state(hosted, ServiceState.READY)
    before = pid_of(hosted)
    (tmp_path / "stand-in" / "unready").touch()
    until_state(hosted, ServiceState.UNREADY)
    for _ in range(5):
        hosted.tend()
    (tmp_path / "stand-in" / "unready").unlink()
    until_state(hosted, ServiceState.READY)
    assert pid_of(hosted) == before


def test_a_service_that_answers_nothing_is_killed_and_started_again(
    hosted: HostedProcess, tmp_path: Path
) -> None:
    until_state(hosted, ServiceState.READY)
    before = pid_of(hosted)
    os.kill(before, signal.SIGSTOP)
    until(lambda: hosted.failures == 1, doing=hosted.tend)
    until_state(hosted, ServiceState.READY)
    assert pid_of(hosted) != before


def test_a_service_that_never_gets_ready_is_killed_and_started_again(tmp_path: Path) -> None:
    hosted = hosted_in(tmp_path, ready_seconds=1.0)
    (tmp_path / "stand-in" / "unready").touch()
    try:
        until(lambda: hosted.failures >= 1, doing=hosted.tend)
    finally:
        hosted.kill()


def test_a_service_that_is_told_to_stop_ends_in_order(
    hosted: HostedProcess, tmp_path: Path
) -> None:
    until_state(hosted, ServiceState.READY)
    hosted.tell()
    assert hosted.state is ServiceState.STOPPING
    until(hosted.reap)
    assert hosted.state is ServiceState.STOPPED
    assert hosted.failures == 0
    assert "ended" in (tmp_path / "stand-in" / "told").read_text()


def test_pauses_grow_while_a_service_keeps_ending_and_its_output_is_kept(tmp_path: Path) -> None:
    hosted = hosted_in(tmp_path)
    (tmp_path / "stand-in" / "broken").touch()
    until(lambda: hosted.failures == 2, doing=hosted.tend)
    assert hosted.state is ServiceState.WAITING
    assert hosted.service.log.read_text().count("it is broken") == 2


def test_a_log_that_has_grown_is_put_aside_once(tmp_path: Path) -> None:
    hosted = hosted_in(tmp_path, log_bytes=4096)
    try:
        until_state(hosted, ServiceState.READY)
        with hosted.service.log.open("a") as log:
            log.write("x" * 5000)
        hosted.tend()
        assert hosted.service.log.stat().st_size == 0
        assert "x" * 5000 in hosted.service.log.with_name("stand-in.log.1").read_text()
    finally:
        hosted.kill()


def test_a_service_waits_for_its_pause_to_be_over(tmp_path: Path) -> None:
    clock = StillClock()
    config = HostingConfig(folder=tmp_path, backoff_seconds=10.0, backoff_most_seconds=10.0)
    hosted = HostedProcess(stand_in(tmp_path), config, clock)
    (tmp_path / "stand-in" / "broken").touch()
    until(lambda: hosted.failures == 1, doing=hosted.tend)
    hosted.tend()
    assert hosted.state is ServiceState.WAITING
    clock.advance(10.0)
    hosted.tend()
    assert hosted.state is ServiceState.STARTING
    until(hosted.reap)


def test_pauses_grow_until_a_service_has_lived_long_enough(tmp_path: Path) -> None:
    clock = StillClock()
    config = HostingConfig(folder=tmp_path, backoff_seconds=4.0, backoff_most_seconds=100.0)
    hosted = HostedProcess(stand_in(tmp_path), config, clock)
    (tmp_path / "stand-in" / "broken").touch()
    pauses = []
    for lived in (0.0, 0.0, 0.0, 61.0):
        hosted.tend()
        assert hosted.state is ServiceState.STARTING
        clock.advance(lived)
        until(hosted.reap)
        pauses.append(hosted._not_before - clock.monotonic())
        clock.advance(pauses[-1])
    assert 2 <= pauses[0] <= 4 <= pauses[1] <= 8 <= pauses[2] <= 16
    assert 2 <= pauses[3] <= 4


def test_a_word_to_a_process_that_is_gone_is_no_failure(hosted: HostedProcess) -> None:
    hosted.tell()
    assert hosted.state is ServiceState.STOPPED
    hosted.kill()


def test_a_process_that_ended_unseen_can_be_told_to_stop(hosted: HostedProcess) -> None:
    until_state(hosted, ServiceState.READY)
    os.kill(pid_of(hosted), signal.SIGKILL)
    os.waitpid(pid_of(hosted), 0)
    hosted.tell()
    assert hosted.reap()
    assert hosted.state is ServiceState.STOPPED


def test_what_keeps_a_service_from_coming_up_is_mended_by_what_it_last_wrote(
    tmp_path: Path,
) -> None:
    plain, shown = hosted_in(tmp_path), []
    broken = tmp_path / "stand-in" / "broken"

    def mend(written: str) -> str | None:
        shown.append(written)
        if len(shown) < 2:
            return None
        broken.unlink(missing_ok=True)
        return "mended"

    hosted = HostedProcess(replace(plain.service, mend=mend), plain._config, SystemClock())
    broken.touch()
    try:
        until_state(hosted, ServiceState.READY)
        assert hosted.failures == 2
    finally:
        hosted.kill()
    # Each time what this process wrote, and nothing of the one before.
    assert [written.count("it is broken") for written in shown[:2]] == [1, 1]
