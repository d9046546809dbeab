"""`esper tezzeret`: the forge, which builds kernels from blueprints and proves them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from esper.cli import blueprints
from esper.cli.console import Row, output, print_json, print_rows, say
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Urza, refuse, typed
from esper.cli.place import Place
from esper.contracts.assets import Blueprint
from esper.contracts.errors import ConfigError
from esper.contracts.library import Target
from esper.core.durable_file import write_durably
from esper.utils.clock import SystemClock
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag, set_at_signals

with later():
    from esper.hosting import forge_access
    from esper.services.tezzeret import build_job, forge_config, forge_metrics
    from esper.web import probe_server

NOUN = Noun(is_group=True, extra="tezzeret")

_MEBIBYTE = 2**20
_measure = partial(typer.Option, rich_help_panel="Where to measure")
_limit = partial(typer.Option, rich_help_panel="What a build may take")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The options that say where kernels are measured, and what one build may take.

    Options:
        device: cpu, cuda, cuda:1, ...
        dtype: float32, float16 or bfloat16.
        batches: Samples of a call; may be repeated. Default: 1 and 32.
        compiled: Compile too, into the cache that trainers share, at the largest batch.
        compile_cache: Compiled kernels; default: $ESPER_HOME/compiled, or in the user's cache
            folder.
        build_seconds: Most processor time, seconds; default: 300.
        memory_mib: Most memory; default: 4096.
        threads: Threads; default: 1.
    """

    device: Annotated[str, _measure(metavar="DEVICE")] = "cpu"
    dtype: Annotated[str, _measure()] = "float32"
    batches: Annotated[list[int] | None, _measure("--batch", min=1)] = None
    compiled: Annotated[bool, _measure("--compile/--no-compile")] = True
    compile_cache: Annotated[Path | None, _measure(metavar="DIR")] = None
    build_seconds: Annotated[float | None, _limit(min=1)] = None
    memory_mib: Annotated[int | None, _limit(min=64)] = None
    threads: Annotated[int | None, _limit(min=1)] = None

    def config(self, **more: Any) -> forge_config.TezzeretConfig:
        """The forge's settings; what is None is left at its default.

        Raises:
            ConfigError: A value is out of range.
        """
        # One eager target for each batch size, and a compiled one for the largest.
        targets = [
            Target(device=self.device, dtype=self.dtype, batch_size=batch)
            for batch in sorted(set(self.batches or (1, 32)))
        ]
        if self.compiled:
            targets.append(targets[-1].model_copy(update={"compiled": True}))
        given = typed(
            build_seconds=self.build_seconds,
            memory_bytes=None if self.memory_mib is None else self.memory_mib * _MEBIBYTE,
            threads=self.threads,
            compile_cache=self.compile_cache,
            **more,
        )
        return forge_config.TezzeretConfig(targets=tuple(targets), **given)


@NOUN.command(
    "run",
    "esper tezzeret run --urza http://127.0.0.1:8420",
    "esper tezzeret run --workers 4 --no-compile",
)
def run(
    *,
    urza: Urza = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    name: str | None = None,
    drain_seconds: Annotated[float | None, typer.Option(min=0)] = None,
    probe_port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    bench: Bench,
) -> None:
    """Build and prove what waits in a library, until SIGTERM or Ctrl-C.

    Options:
        workers: Builds at the same time.
        name: What the library knows it by; default: forge.
        drain_seconds: Time for builds to end after SIGTERM; default: 60.
        probe_port: Answer /livez, /readyz and /metrics on this port of 127.0.0.1; 0 takes a free
            one. Default: nowhere.
    """
    config = bench.config(workers=workers, name=name, drain_seconds=drain_seconds)
    setup_logging("tezzeret")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request is noise
    stop = Flag()
    set_at_signals(stop)
    with ExitStack() as stack:
        supervisor = stack.enter_context(forge_access.forge(config, urza))
        if probe_port is not None:
            probes = probe_server.ProbeServer(
                probe_port,
                is_ready=lambda: supervisor.is_ready() and not stop.is_set(),
                metrics=forge_metrics.ForgeMetrics(supervisor).text,
            )
            stack.enter_context(probes)
            say(output(), probes.url)
        supervisor.run(stop)


@NOUN.command(
    "prove",
    "esper tezzeret prove low-rank/small --host linear --input 40 --output-shape 100",
    "esper tezzeret prove graph.json --mode residual --no-compile --json",
)
def prove(
    *,
    source: Annotated[str, typer.Argument(metavar="FILE|FAMILY/SIZE")],
    mode: str | None = None,
    place: Place,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    as_json: AsJson = False,
    bench: Bench,
) -> int:
    """Build and prove one blueprint here, without a library; exit code 1 if a check fails.

    Options:
        source: Graph IR or a pulled blueprint as JSON; or a family, with or without a size.
        mode: replacing or residual; default: what there is.
        seed: Of the initial weights.
        file: Write the proven kernel there.
    """
    if Path(source).is_file():
        shapes = place != Place(host=place.host)
        refuse("the file holds one graph, with its shapes", input=shapes)
        wanted = [blueprints.of_file(Path(source), mode=mode, host=place.host)]
    else:
        family, _, size = source.partition("/")
        wanted = blueprints.of_family(family, size or None, mode, place)
    if file is not None and len(wanted) > 1:
        names = ", ".join(f"{one.name} {one.mode.value}" for one in wanted)
        raise ConfigError(f"--output takes one kernel, not {names}; give size and --mode")
    config = bench.config(seed=seed)
    build, status = build_job.Builder(config, SystemClock()), ExitCode.OK
    for blueprint in wanted:
        outcome = build(blueprint)
        _print_outcome(blueprint, outcome, as_json=as_json)
        if not isinstance(outcome, build_job.Proof) or outcome.data is None:
            status = ExitCode.FAILED
        elif file is not None:
            write_durably(file, outcome.data)
    return status


def _print_outcome(blueprint: Blueprint, outcome: build_job.Outcome, *, as_json: bool) -> None:
    report = outcome.report if isinstance(outcome, build_job.Proof) else None
    reason = getattr(outcome, "reason", "") if report is None else report.reason
    console = output()
    if as_json:
        name, mode = blueprint.name, blueprint.mode.value
        print_json(console, {"blueprint": name, "mode": mode, "report": report, "reason": reason})
        return
    passed = report is not None and report.passed
    verdict = ("proven", "good") if passed else ("not proven", "bad")
    say(console, (blueprint.name, "name"), f" ({blueprint.mode.value}): ", verdict)
    if report is None:
        say(console, reason)
        return
    rows: Iterable[Row] = (
        {
            "check": (check.name, "name"),
            "": ("good", "good") if check.passed else ("FAILED", "bad"),
            "what was found": check.detail,
        }
        for check in report.checks
    )
    print_rows(console, rows)
