"""Proving a blueprint: build its kernel, try it in every way that matters, measure it.

Checks run in order, cheap ones in front; the first failure ends the proof, because what comes
after builds on what came before. Nothing here talks to anyone: the worker gives it a blueprint
and takes the proof away.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import torch

from esper.contracts.assets import Blueprint
from esper.contracts.library import CheckResult, Latency, Target, Toolchain, ValidationReport
from esper.contracts.version import VERSION
from esper.execution.kernel_compile import share_compile_cache
from esper.services.tezzeret.build_job import KERNEL, OUTPUT, REPORT, Proof
from esper.services.tezzeret.build_limits import confine, end_with_parent
from esper.services.tezzeret.cost_check import Measured, measure
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.kernel_checks import (
    alive,
    birth,
    builds,
    claims,
    finite,
    geometry,
    modes,
    repeats,
    written,
)
from esper.services.tezzeret.latency import available, latency, warm
from esper.services.tezzeret.proof_subject import Check, Subject

logger = logging.getLogger(__name__)

CHECKS: Final[dict[str, Check]] = {
    "builds": builds,
    "claims": claims,
    "geometry": geometry,
    "finite": finite,
    "gradients": alive,
    "birth": birth,
    "modes": modes,
    "repeats": repeats,
}
"""The checks that say yes or no, in the order in which they run."""

_LONGEST_DETAIL: Final = 1000

T = TypeVar("T")


def prove(blueprint: Blueprint, targets: Sequence[Target], *, seed: int = 0) -> Proof:
    """Build a blueprint's kernel and prove it.

    Never raises for what the blueprint or its kernel does: that is in the report. Torch's global
    random state is as before afterwards.

    Args:
        blueprint: What to build; nothing in it is believed.
        targets: Where to measure latency. Compiled ones are compiled, forward and backward, into
            the folder that `TORCHINDUCTOR_CACHE_DIR` names. A target whose device this machine
            lacks is noted and left out.
        seed: Of the newborn weights and of all inputs.

    Returns:
        The report, and the kernel file if all checks passed.
    """
    work = _Proving()
    data = None
    with torch.random.fork_rng(devices=[]), contextlib.suppress(_FailedError):
        torch.manual_seed(seed)
        data = work.run(blueprint, targets, seed)
    return Proof(report=work.report(), data=data)


class _FailedError(Exception):
    """A check failed, and ends the proof; its result is noted."""


class _Proving:
    """A proof under way."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._results: list[CheckResult] = []
        self._latencies: list[Latency] = []
        self._cost = Measured(parameters=0, flops=0, peak_bytes=0)

    def run(self, blueprint: Blueprint, targets: Sequence[Target], seed: int) -> bytes:
        """Go through all checks; returns the kernel file.

        Raises:
            _FailedError: At the first that fails.
        """
        read = partial(Subject.of, blueprint, seed=seed)
        subject = self._pass("graph", read, lambda _: "a valid graph")
        for name, check in CHECKS.items():
            self._pass(name, partial(check, subject))
        self._cost = self._pass("cost", partial(measure, subject))
        data = self._pass("file", partial(written, subject), lambda data: f"{len(data)} bytes")
        for target in targets:
            kind = f"{'compiled' if target.compiled else 'eager'}-{target.device.replace(':', '-')}"
            name = f"{kind}-{target.dtype}-{target.batch_size}"
            self._pass(name, partial(self._time, subject, target))
        return data

    def report(self) -> ValidationReport:
        """What was found."""
        failed = next((result for result in self._results if not result.passed), None)
        return ValidationReport(
            passed=failed is None,
            reason="" if failed is None else f"{failed.name}: {failed.detail}",
            checks=tuple(self._results),
            **asdict(self._cost),
            latencies=tuple(self._latencies),
            toolchain=toolchain(),
            seconds=time.monotonic() - self._began,
        )

    def _pass(self, name: str, check: Callable[[], T], said: Callable[[T], str] = str) -> T:
        """Run one check, and note its result in words."""
        try:
            found = check()
        except Exception as fault:
            # Whatever a kernel raises is what the proof has found.
            kind = "" if isinstance(fault, ValueError) else f"{type(fault).__name__}: "
            detail = f"{kind}{fault}"[:_LONGEST_DETAIL]
            logger.debug("check %s failed", name, exc_info=True)
            self._results.append(CheckResult(name=name, passed=False, detail=detail))
            raise _FailedError from fault
        self._results.append(CheckResult(name=name, passed=True, detail=said(found)))
        return found

    def _time(self, subject: Subject, target: Target) -> str:
        """Compile if the target says so, and time."""
        if not available(target):
            return f"not measured: this machine has no {target.device}"
        how = warm(subject, target) + "; " if target.compiled else ""
        self._latencies.append(latency(subject, target))
        return f"{how}median {self._latencies[-1].median_us:.1f} µs"


def toolchain() -> Toolchain:
    """What kernels are built and measured with here."""
    cuda = torch.cuda.is_available()
    return Toolchain(
        esper=VERSION,
        torch=str(torch.__version__),
        python=platform.python_version(),
        machine=platform.machine(),
        device=torch.cuda.get_device_name() if cuda else "cpu",
    )


# In a process of its own, which may come to any end ----------------------------------------------


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
