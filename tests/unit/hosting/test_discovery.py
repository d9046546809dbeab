from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from esper.contracts.base import utc_now
from esper.contracts.errors import PlatformError
from esper.hosting.discovery import FILE, LOCK, Platform, ServiceRecord, claimed, find, write
from esper.hosting.service import ServiceState

HOLDING = """
import sys, time
from pathlib import Path
from esper.hosting.discovery import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


def a_platform() -> Platform:
    now = utc_now()
    return Platform(
        pid=os.getpid(),
        started_at=now,
        folder="/data",
        bus_url="redis://:secret@127.0.0.1:8440/0",
        store_url="sqlite:////data/runs.db",
        urza_url="http://127.0.0.1:8420",
        nissa_url="http://127.0.0.1:8430",
        token_file="/data/token",
        services=(
            ServiceRecord(name="urza", state=ServiceState.READY, address="", pid=1, since=now),
        ),
    )


def test_without_a_platform_nothing_is_found(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    assert find(tmp_path / "not there") is None
    assert list(tmp_path.iterdir()) == []


def test_a_platform_that_runs_is_found_and_gone_when_it_ends(tmp_path: Path) -> None:
    platform = a_platform()
    with claimed(tmp_path):
        assert find(tmp_path) is None, "it has said nothing yet"
        write(tmp_path, platform)
        assert find(tmp_path) == platform
    assert find(tmp_path) is None
    assert not (tmp_path / FILE).exists()


def test_nobody_else_may_read_the_record(tmp_path: Path) -> None:
    with claimed(tmp_path):
        write(tmp_path, a_platform())
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_second_platform_is_told_of_the_first(tmp_path: Path) -> None:
    with claimed(tmp_path):
        write(tmp_path, a_platform())
        with pytest.raises(PlatformError, match=rf"{os.getpid()}.*8430"), claimed(tmp_path):
            pytest.fail("two platforms at once")
        assert find(tmp_path) is not None, "the refused one left the first alone"


def test_the_record_of_a_platform_that_was_killed_is_ignored(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "claimed\n"
            write(tmp_path, a_platform())
            assert find(tmp_path) is not None
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
    assert (tmp_path / FILE).exists()
    assert find(tmp_path) is None
    with claimed(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{}", "not JSON", '{"version": 2}'])
def test_a_record_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    with claimed(tmp_path):
        (tmp_path / FILE).write_text(text)
        assert find(tmp_path) is None


def test_a_record_without_a_lock_counts_as_none(tmp_path: Path) -> None:
    write(tmp_path, a_platform())
    assert not (tmp_path / LOCK).exists()
    assert find(tmp_path) is None


def test_those_who_look_do_not_take_each_other_for_a_platform(tmp_path: Path) -> None:
    import fcntl

    write(tmp_path, a_platform())
    with (tmp_path / LOCK).open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert find(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match="ESPER_HOME"), claimed(tmp_path / "file" / "home"):
        pytest.fail("it was claimed")
