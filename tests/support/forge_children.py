"""What builds do wrong: run in place of a proof, in a child process."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import psutil
import torch

from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.prove import apart


def offspring() -> set[int]:
    """Processes that builds are, or have started: all below the server that they are forked from."""
    server = psutil.Process(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]  # it has no name for it
    return {child.pid for child in server.children(recursive=True)}


def crash(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    sys.stderr.write("the heap is on fire\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)


def fail(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    raise RuntimeError("no way")


def hang(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    if os.fork() == 0:  # a compiler, say, that must not outlive the build
        time.sleep(600)
    time.sleep(600)


def spin(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    while True:
        pass


def devour(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    kept = []
    while True:  # in pieces that the system's own limit would let through for a while
        kept.append(torch.ones(2**20))
        time.sleep(0.005)


def leave_rubbish(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
    Path(folder, "report.json").write_text("{}", encoding="utf-8")


def leave_nothing(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    apart(folder, config)
