"""The forge over a real library: cycle time, what it costs a training run, and first steps.

Everything runs on this machine: `esper urza serve` and `esper tezzeret run` in processes of their
own, the training run in this one.

* cycle: a blueprint is submitted, built, proven, stored, fetched, installed in a model, and the
  model makes a training step with it;
* disturbance: step times while the forge compiles, and while it is held still, in turn;
* installation: what a ready kernel costs at the step boundary;
* first step: of a compiled kernel in a new process, with an empty cache and with the forge's.

    python -m benchmarks.forge [--rounds N] [--state FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks.results import Result
from benchmarks.workloads import WORKLOADS, Loop, Workload
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.library.catalog import Candidate, candidate
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode, Role
from esper.contracts.library import BlueprintRecord
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.services.urza.client.urza_client import UrzaClient
from support.forge import blueprint_at, blueprint_of
from support.places import geometry_at
from support.urza_server import ESPER, UrzaServer, urza_server

CYCLE_EAGER, CYCLE_COMPILED = 20.0, 60.0
PLACE = "linear over a signal"
LAYER = "0"
FAMILIES = (("conv1d", "medium"), ("glu", "small"), ("bottleneck-mlp", "medium"))
PATIENCE = 600.0


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    what: str
    figure: str
    bar: str = ""
    met: bool = True


def entry(family: str, size: str, mode: KernelMode = KernelMode.REPLACING) -> Candidate:
    return candidate(geometry_at(PLACE), family, size, mode)


def host(client: UrzaClient | None = None) -> MorphableModel:
    """A model whose first layer stands at the place."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 10))
    return wrap(plain, kernel_source=client)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(100, 40), torch.randint(10, (100,))


@contextmanager
def forge(server: UrzaServer, cache: Path, *options: str) -> Iterator[psutil.Process]:
    """`esper tezzeret run` with one worker."""
    command = [*ESPER, "tezzeret", "run", "--compile-cache", str(cache), *options]
    environment = server.environment(Role.COMPILER)
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:  # noqa: S603 our own command
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(120)


def settled(client: UrzaClient, blueprint_id: str) -> BlueprintRecord:
    """Wait for a blueprint's end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        record = client.blueprint(blueprint_id)
        if record.blueprint.state is BlueprintState.VALIDATED:
            return record
        if record.blueprint.state is BlueprintState.INVALID:
            raise SystemExit(f"{record.blueprint.name} is INVALID: {record.reason}")
        time.sleep(0.05)
    raise SystemExit("waited in vain for the forge")


def cycle(client: UrzaClient, blueprint: Blueprint) -> tuple[float, str]:
    """Seconds from submission to the first training step with the kernel; its id."""
    model = host(client)
    loop = Loop(model, batch())
    model.attach_optimizer(loop.optimizer)
    loop.step()
    started = time.perf_counter()
    client.submit(blueprint)
    record = settled(client, blueprint.blueprint_id)
    model.load_kernel_sync(LAYER, 0, record.kernels[0])
    model.set_seed_alpha(LAYER, 0, 0.5)
    loop.step()
    return time.perf_counter() - started, record.kernels[0]


def cycles(
    server: UrzaServer, cache: Path, *options: str, families: Sequence[tuple[str, str]] = FAMILIES
) -> list[float]:
    """The first cycle after the forge's start, then those of a forge that runs."""
    with (
        UrzaClient(server.url, server.tokens[Role.TRAINER]) as client,
        forge(server, cache, *options),
    ):
        return [
            cycle(client, blueprint_at(geometry_at(PLACE), entry(family, size)))[0]
            for family, size in families
        ]


def work_for(client: UrzaClient, number: int) -> None:
    """Submit blueprints that take long to compile, all different."""
    for width in range(number):
        g = GraphBuilder((3, 24))
        steps = [
            ("conv1d", {"out_channels": 9 + width, "kernel_size": 3, "padding": 1}),
            ("gelu", {}),
            ("conv1d", {"out_channels": 5, "kernel_size": 3, "padding": 1}),
            ("silu", {}),
        ]
        client.submit(blueprint_of(g.finish(g.chain("x", *steps)), name=f"busy/{width}"))


def hold(process: psutil.Process, *, still: bool) -> None:
    """Hold the forge and everything it started still, or let it go on."""
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            member.suspend() if still else member.resume()


def disturbance(server: UrzaServer, cache: Path, workload: Workload, rounds: int) -> list[Figure]:
    """Step times with the forge at work and with the forge held still, in turn."""
    model = workload.make()
    loop = Loop(model, workload.batch())
    taken: dict[bool, list[float]] = {True: [], False: []}
    cpu: dict[bool, list[float]] = {True: [], False: []}
    ratios, cpu_ratios = [], []
    with (
        UrzaClient(server.url, server.tokens[Role.TRAINER]) as client,
        forge(server, cache) as process,
    ):
        work_for(client, 60)
        # Until the first is being built; a trainer's token may not look at the queue itself.
        while not client.blueprints(state=BlueprintState.COMPILING, limit=1).items:
            time.sleep(0.1)
        for number in range(rounds + 1):
            medians, cpu_medians = {}, {}
            for busy in (True, False) if number % 2 else (False, True):
                hold(process, still=not busy)
                steps, on_cpu = timed(loop, seconds=2.0)
                medians[busy], cpu_medians[busy] = statistics.median(steps), sum(on_cpu)
                cpu_medians[busy] /= len(on_cpu)
                if number:  # the first round warms up
                    taken[busy] += steps
                    cpu[busy] += on_cpu
            if number:
                ratios.append(medians[True] / medians[False])
                cpu_ratios.append(cpu_medians[True] / cpu_medians[False])
        hold(process, still=False)
        built = len(client.blueprints(state=BlueprintState.VALIDATED, limit=100).items)
    name = f"{workload.name}: "
    with_, without = (statistics.median(taken[busy]) * 1e3 for busy in (True, False))
    return [
        Figure(f"{name}median step, forge held still", f"{without:.2f} ms"),
        Figure(f"{name}median step, forge compiling", f"{with_:.2f} ms"),
        Figure(
            f"{name}ratio of {rounds} pairs of blocks, median (least, most)",
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f}, {max(ratios):.3f})",
        ),
        Figure(
            f"{name}the same, processor time",
            f"{statistics.median(cpu_ratios):.3f} ({min(cpu_ratios):.3f}, {max(cpu_ratios):.3f})",
        ),
        Figure(f"{name}longest step, forge held still", f"{max(taken[False]) * 1e3:.1f} ms"),
        Figure(f"{name}longest step, forge compiling", f"{max(taken[True]) * 1e3:.1f} ms"),
        Figure("blueprints that the forge had built by then", str(built)),
    ]


def timed(loop: Loop, *, seconds: float) -> tuple[list[float], list[float]]:
    """Wall and processor times of steps."""
    wall, cpu = [], []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        on_cpu = time.process_time()
        loop.step()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - on_cpu)
    return wall, cpu


def installation(server: UrzaServer, workload: Workload) -> list[Figure]:
    """What the step boundary costs when a kernel is ready: in the cache, or still in the library."""
    geometry = geometry_at(PLACE)
    with UrzaClient(server.url, server.tokens[Role.TRAINER]) as client:
        blueprint = blueprint_at(geometry, entry(*FAMILIES[0]))
        client.submit(blueprint)
        with forge(server, Path(tempfile.gettempdir()) / "unused", "--no-compile"):
            kernel_id = settled(client, blueprint.blueprint_id).kernels[0]
        results = {
            ready: _installed(client, workload, kernel_id, ready=ready) for ready in (True, False)
        }
    rows = []
    for ready, (step, stalls) in results.items():
        worst = statistics.median(stalls)
        where = "in the cache" if ready else "in the library"
        steps = worst / step
        rows.append(
            Figure(
                f"{workload.name}: boundary at which a kernel is installed, {where}; median step "
                f"{step * 1e3:.2f} ms",
                f"{worst * 1e3:.2f} ms, {steps:.2f} steps",
                "≤ 1 step" if ready else "",
                met=not ready or steps <= 1.0,
            )
        )
    return rows


def _installed(
    client: UrzaClient, workload: Workload, kernel_id: str, *, ready: bool
) -> tuple[float, list[float]]:
    stalls, steps = [], []
    for _ in range(7):
        model = wrap(
            nn.Sequential(nn.Linear(40, 20), workload_tail(workload)), kernel_source=client
        )
        x = torch.randn(workload.shape[0], 40)
        loop = Loop(model, (x, torch.randint(10, (len(x),))))
        model.attach_optimizer(loop.optimizer)
        for _ in range(3):
            loop.step()
        wall, _ = timed(loop, seconds=0.3)
        steps.append(statistics.median(wall))
        if ready:
            model._supply.load_sync(kernel_id, model.layer(LAYER))
        model.request(lambda grown: grown.load_kernel_sync("0", 0, kernel_id))
        begun = time.perf_counter()
        model.apply_pending()
        stalls.append(time.perf_counter() - begun)
        loop.step()
    return statistics.median(steps), stalls


def workload_tail(workload: Workload) -> nn.Module:
    """The workload's model behind a small layer at the place."""
    return nn.Sequential(nn.Linear(20, workload.shape[-1]), workload.make())


FIRST_STEP = """
import os, sys, time
sys.path[:0] = sys.argv[2:4]
import torch
from benchmarks import forge
from esper.blueprints.build import build
from esper.execution.kernel_compile import compile_kernel, prepare_to_compile, share_compile_cache
share_compile_cache(environ=os.environ)
torch.set_num_threads(2)  # not the forge's number
prepare_to_compile()
def cpu():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system
found = forge.entry(*forge.FAMILIES[0])
model = forge.host()
loop = forge.Loop(model, forge.batch())
model.attach_optimizer(loop.optimizer)
for _ in range(5):
    loop.step()
kernel = build(found.ir, seed=0)
if sys.argv[1] == "compiled":
    compile_kernel(kernel)
model.install_kernel(forge.LAYER, 0, kernel, mode=found.mode, ir=found.ir)
model.set_seed_alpha(forge.LAYER, 0, 0.5)
begun, on_cpu = time.perf_counter(), cpu()
loop.step()
print(time.perf_counter() - begun, cpu() - on_cpu)
"""


def first_step(cache: Path, how: str) -> tuple[float, float]:
    """Wall and processor seconds of the first step with a kernel, in a new process."""
    root = Path(__file__).resolve().parent.parent
    environment = {
        **os.environ,
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    command = [sys.executable, "-c", FIRST_STEP, how, str(root), str(root / "tests")]
    done = subprocess.run(  # noqa: S603 our own command
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    wall, cpu = done.stdout.split()[-2:]
    return float(wall), float(cpu)


def first_steps(warmed: Path, fresh: Path) -> list[Figure]:
    """First steps without a compiler, with the forge's cache, and with an empty one."""
    rows = {
        "eager": first_step(warmed, "eager"),
        "compiled, the forge's cache": first_step(warmed, "compiled"),
        "compiled, an empty cache": first_step(fresh, "compiled"),
    }
    return [
        Figure(
            f"first step with a new {'/'.join(FAMILIES[0])} kernel, {name}",
            f"{wall:.2f} s, {cpu:.2f} s of processor time",
        )
        for name, (wall, cpu) in rows.items()
    ]


def cycle_rows(name: str, bar: float, times: list[float]) -> list[Figure]:
    """The rows of one kind of cycle."""
    first, *later = times
    return [
        Figure(f"cycle, {name}, forge and compiler just started", f"{first:.1f} s"),
        Figure(
            f"cycle, {name}, forge running, worst of {len(later)}",
            f"{max(later):.1f} s",
            f"≤ {bar:.0f} s",
            met=max(later) <= bar,
        ),
    ]


def measure_eager(root: Path, rounds: int) -> list[Figure]:
    with urza_server(root / "eager") as server:
        times = cycles(server, root / "unused", "--no-compile", "--batch", "32")
    return cycle_rows("eager", CYCLE_EAGER, times)


def measure_compiled(root: Path, rounds: int) -> list[Figure]:
    with urza_server(root / "compiling") as server:
        times = cycles(server, root / "compiled", "--batch", "32")
    return cycle_rows("compiled", CYCLE_COMPILED, times)


def measure_first(root: Path, rounds: int) -> list[Figure]:
    with urza_server(root / "warming") as server:
        cycles(server, root / "warmed", "--batch", "32", families=FAMILIES[:1])
    return first_steps(root / "warmed", root / "fresh")


def measure_installation(root: Path, rounds: int) -> list[Figure]:
    with urza_server(root / "installing") as server:
        return installation(server, WORKLOADS[1])


def measure_disturbance(root: Path, rounds: int) -> list[Figure]:
    with urza_server(root / "disturbed") as server:
        return disturbance(server, root / "busy", WORKLOADS[1], rounds)


PARTS = {
    "eager": measure_eager,
    "compiled": measure_compiled,
    "installation": measure_installation,
    "disturbance": measure_disturbance,
    "first": measure_first,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the forge over a real library.")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of blocks of 2 s")
    parser.add_argument("--state", type=Path, help="figures so far, of a run that was broken off")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state: dict[str, list[dict[str, Any]]] = {}
    if arguments.state is not None and arguments.state.exists():
        state = json.loads(arguments.state.read_text(encoding="utf-8"))
    for name, part in PARTS.items():
        if name in state:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = part(Path(folder), arguments.rounds)
        print(*rows, sep="\n", flush=True)
        state[name] = [asdict(row) for row in rows]
        if arguments.state is not None:
            arguments.state.write_text(json.dumps(state), encoding="utf-8")
    return publish([Figure(**row) for name in PARTS for row in state[name]])


def publish(rows: list[Figure]) -> int:
    """Print and write the table; the exit status."""
    load = os.getloadavg()[1]
    notes = [
        (
            f"Load average of the last five minutes, on {os.cpu_count()} cores: {load:.1f}. Times of "
            "the clock are of a machine as busy as that; processor time is not."
        ),
        (
            "Disturbance: blocks of two seconds with the forge compiling (one build at a time, nice "
            "10) and with the forge and its builds held still by SIGSTOP, in turn, one training "
            "thread. Every blueprint is another graph, so each build compiles from cold."
        ),
        (
            "First step: a new process, with two threads where the forge has one, that has imported "
            "the compiler before it began to train; the kernel is one region (`compile_kernel`), the "
            "model around it eager."
        ),
        "Reports of every blueprint: `python -m benchmarks.forge_library`.",
    ]
    columns = ["what", "figure", "bar", ""]
    table = [[r.what, r.figure, r.bar, ("met" if r.met else "MISSED") * bool(r.bar)] for r in rows]
    Result("forge", "The forge", columns, table, notes).publish()
    met = all(row.met for row in rows)
    print("bars met" if met else "A BAR IS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
