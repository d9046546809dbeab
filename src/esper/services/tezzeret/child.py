"""Child: the inside of a build, in a process that may come to any end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from esper.contracts.assets import Blueprint
from esper.execution.kernel_compile import share_compile_cache
from esper.services.tezzeret.build_job import KERNEL, OUTPUT, REPORT
from esper.services.tezzeret.build_limits import confine, end_with_parent
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.prove import prove


def prove_into(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    """Prove a blueprint (as JSON) and leave the result in `folder`."""
    apart(folder, config)
    torch.set_num_threads(config.threads)
    share_compile_cache(config.compile_cache)
    proof = prove(Blueprint.model_validate_json(blueprint), config.targets, seed=config.seed)
    if proof.data is not None:
        Path(folder, KERNEL).write_bytes(proof.data)
    # Last, under its final name only when whole: it says that there is a result.
    unfinished = Path(folder, f"{REPORT}.part")
    unfinished.write_text(proof.report.model_dump_json(), encoding="utf-8")
    unfinished.rename(Path(folder, REPORT))


def apart(folder: str, config: TezzeretConfig) -> None:
    """Make a child of this process: confined, its output in `folder`, gone when its parent is."""
    end_with_parent()
    confine(memory_bytes=config.memory_bytes, niceness=config.niceness)
    descriptor = os.open(Path(folder, OUTPUT), os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(descriptor, stream)
