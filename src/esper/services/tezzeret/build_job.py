"""Build: one proof in a child process, which can crash, hang or eat memory at nobody's cost.

The child is forked from a server process that has imported torch: it starts in milliseconds,
and no thread of the worker is copied into it. The worker itself never imports torch, and the server
is started for the first build: a forge without work takes no memory for it. The child leaves its
result in a folder and exits; the worker reads the folder only after that, so that nothing the child
does can block it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from esper.contracts.assets import Blueprint
from esper.contracts.library import ValidationReport
from esper.contracts.ports import Clock
from esper.execution.kernel_compile import share_compile_cache
from esper.services.tezzeret.build_limits import kill_family, taken_by
from esper.services.tezzeret.forge_config import TezzeretConfig

WATCH_SECONDS: Final = 0.2
"""Time between two looks at what a build takes."""

_STIR: Final = 0.001
"""Share of its limit that a build which moves has of the processor while the limit passes by the
clock: a busy machine leaves it more, and threads that only wait take less."""

REPORT: Final = "report.json"
"""The file in the result's folder that says that there is a result."""
KERNEL: Final = "kernel.safetensors"
OUTPUT: Final = "output.txt"
"""What the child printed."""

_CHILD: Final = "esper.services.tezzeret.prove"
_COMPILER: Final = ("torch._dynamo", "torch._inductor.compile_fx")
_LONGEST_TAIL: Final = 400


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What became of a blueprint that was built: a report, and the kernel if it passed."""

    report: ValidationReport
    data: bytes | None
    """The kernel file; None unless every check passed."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A build that gave no proof."""

    reason: str
    """What happened, in words."""
    final: bool
    """Whether trying again is pointless: a limit was exceeded. A crash may be the machine's."""


@dataclass(frozen=True, kw_only=True)
class Abandoned:
    """A build that was killed because nobody wants its result any more."""


Outcome = Proof | Broken | Abandoned


class Builder:
    """Proves blueprints in child processes, within the limits of processor time and memory.

    Args:
        config: Limits, targets, seed.
        clock: Tells when a build hangs.
    """

    def __init__(self, config: TezzeretConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock

    def __call__(
        self,
        blueprint: Blueprint,
        unwanted: Callable[[], bool] = lambda: False,
        *,
        child: Callable[[str, str, TezzeretConfig], None] | None = None,
    ) -> Outcome:
        """Build one. The first waits until the server that builds are forked from has imported torch.

        Args:
            blueprint: What to build.
            unwanted: Asked several times a second; True kills the build.
            child: What runs in the child; None is the proof itself.

        Returns:
            The proof, or why there is none.
        """
        context = _prepare(self._config)
        with tempfile.TemporaryDirectory(prefix="esper-forge-") as folder:
            process = context.Process(
                target=child or _enter, args=(folder, blueprint.model_dump_json(), self._config)
            )
            process.start()
            assert process.pid is not None  # it was started
            try:
                stopped = self._watch(process, process.pid, unwanted)
            finally:
                if process.is_alive():
                    kill_family(process.pid)
                process.join()
            return stopped or _read(Path(folder), process)

    def _watch(
        self, process: BaseProcess, pid: int, unwanted: Callable[[], bool]
    ) -> Broken | Abandoned | None:
        """Wait for the child's end; why it must be killed before that, or None."""
        limits = Limits(self._config, self._clock.monotonic())
        while not wait([process.sentinel], timeout=WATCH_SECONDS):
            if unwanted():
                return Abandoned()
            broken = limits.look(self._clock.monotonic(), *taken_by(pid))
            if broken is not None:
                return broken
        return None


def _prepare(config: TezzeretConfig) -> ForkServerContext:
    """Set the environment that builds inherit, and start the server that they are forked from.

    What the environment says about threads stays. Done again, it changes nothing.
    """
    # Both are read when torch is first imported; idle threads must not spin beside a training run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", str(config.threads))
    # The compiler's own pool of processes would outlive the build that it was started for.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    share_compile_cache(config.compile_cache)
    context = multiprocessing.get_context("forkserver")
    compiles = any(target.compiled for target in config.targets)
    context.set_forkserver_preload([_CHILD, *(_COMPILER if compiles else ())])
    forkserver.ensure_running()
    return context


def _enter(folder: str, blueprint: str, config: TezzeretConfig) -> None:
    """Find the child's work by name: a worker that imported it would hold all of torch itself."""
    importlib.import_module(_CHILD).prove_into(folder, blueprint, config)


class Limits:
    """Judges what a build takes, in the processor's time.

    By the clock, a build among other work takes many times as long, and longest the first, for
    which nothing has been compiled yet.

    Args:
        config: The limits.
        now: When it began, by the monotonic clock.
    """

    def __init__(self, config: TezzeretConfig, now: float) -> None:
        self._config = config
        self._moved_at, self._moved = now, 0.0

    def look(self, now: float, seconds: float, memory: int) -> Broken | None:
        """Return why the build must end, or None.

        Args:
            now: By the monotonic clock.
            seconds: Of the processor, so far.
            memory: Bytes that it has in use.
        """
        limit, most = self._config.build_seconds, self._config.memory_bytes
        if seconds > limit:
            reason = f"the build took more processor time than its limit of {limit:g} s"
            return Broken(reason=reason, final=True)
        if memory > most:
            reason = f"the build took {memory} bytes of memory, more than its limit of {most}"
            return Broken(reason=reason, final=True)
        if seconds >= self._moved + _STIR * limit:
            self._moved_at, self._moved = now, seconds
        if now - self._moved_at > limit:
            # It may have waited for what another build had locked.
            return Broken(reason=f"the build hung: it did nothing for {limit:g} s", final=False)
        return None


def _read(folder: Path, process: BaseProcess) -> Outcome:
    """Read what an ended child left behind."""
    if (folder / REPORT).exists():
        try:
            text = (folder / REPORT).read_text(encoding="utf-8")
            report = ValidationReport.model_validate_json(text)
        except (ValidationError, UnicodeDecodeError) as fault:
            return Broken(
                reason=f"the build left a report that cannot be read: {fault}", final=False
            )
        kernel = folder / KERNEL
        return Proof(report=report, data=kernel.read_bytes() if report.passed else None)
    status = process.exitcode
    how = f"with exit status {status}"
    if status is not None and status < 0:
        how = f"by {signal.Signals(-status).name}"
    return Broken(reason=f"the build crashed, ended {how}{_tail(folder)}", final=False)


def _tail(folder: Path) -> str:
    """The last of what the child printed, which usually says why it crashed."""
    path = folder / OUTPUT
    text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
    return f": {text[-_LONGEST_TAIL:]}" if text else ""
