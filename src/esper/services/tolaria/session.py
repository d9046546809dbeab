"""Everything that a training run is made of, put together from its config; what its log begins with."""

from __future__ import annotations

import contextlib
import platform
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from esper.contracts.base import as_name
from esper.contracts.errors import ConfigError
from esper.contracts.ports import TelemetrySink
from esper.contracts.records import HostRecord, RunResumed, RunStarted
from esper.contracts.version import VERSION
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.bundle import DataBundle
from esper.execution.artifact import KernelArtifact
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_compile import share_compile_cache
from esper.orchestration.growth_report import layer_records
from esper.orchestration.nursery import Nursery
from esper.orchestration.orchestrator import SeedOrchestrator
from esper.services.tolaria.factories import load_data, make_model, model_name
from esper.services.tolaria.optimizers import make_optimizer, make_scheduler
from esper.services.tolaria.run_plan import Plan, make_plan
from esper.services.tolaria.split import EpochSampler, carve
from esper.services.tolaria.training_config import TolariaConfig, config_to_mapping

_GROWTH_BATCH = 500

Pair = tuple[Tensor, Tensor]
Kernels = Callable[[MorphableModel], Sequence[KernelArtifact]]
"""Proven kernels for a wrapped model."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The parts of one run, all on one device."""

    config: TolariaConfig
    bundle: DataBundle
    plan: Plan
    name: str
    """``data model``."""
    train: Pair
    """All training tensors; ``sampler`` says which rows."""
    growth: Pair
    sampler: EpochSampler
    device: torch.device
    model: MorphableModel | nn.Module
    """Wrapped if the model may grow; the plain host otherwise."""
    forward: Callable[[Tensor], Tensor]
    """The model, or its compiled twin."""
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    parameters_before: int
    orchestrator: SeedOrchestrator | None = None
    """Who grows the model, if it may grow."""

    def batch(self, step: int) -> Pair:
        """Inputs and targets that ``step``, counted from 0, trains on."""
        rows = self.sampler.rows(step)
        return self.train[0][rows], self.train[1][rows]

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of forward passes."""
        if self.config.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def begin(
    config: TolariaConfig,
    *,
    bundle: DataBundle | None = None,
    sinks: Sequence[TelemetrySink] = (),
    kernels: Kernels = lambda _: (),
    cache: KernelCache | None = None,
    nursery: Nursery | None = None,
) -> Session:
    """Put a run together at step 0. Seeds the global random generators.

    Args:
        config: the settings.
        bundle: the data, where the caller has it at hand already.
        sinks: receive growth events.
        kernels: proven kernels for the model, which may enter races.
        cache: where the model's ``load_kernel`` finds kernels; ``None`` is this machine's store.
        nursery: holds the races; ``None`` holds them in the training loop.

    Raises:
        ConfigError: the settings do not fit the data or the machine.
        DataError: the data cannot be had.
        EsperError: the model cannot be wrapped, or the growth data is unusable.
    """
    device = _device(config.device)
    if config.compile:
        share_compile_cache()  # one folder for all trainers and forges of this machine
    bundle = load_data(config) if bundle is None else bundle
    torch.manual_seed(config.seed)
    random.seed(config.seed)
    split = carve(bundle, config.growth_fraction, config.seed)
    plan = make_plan(config, bundle, len(split.train))
    x, y = bundle.train.tensors
    growth = (x[split.growth].to(device), y[split.growth].to(device))
    train = (x.to(device), y.to(device))
    host = make_model(config, bundle).to(device)
    parameters_before = sum(p.numel() for p in host.parameters())
    model: MorphableModel | nn.Module = host
    if config.grow:
        layers, example = config.target_layers, train[0][:2]
        model = wrap(host, layers, example_input=example, inplace=True, kernel_source=cache)
    optimizer = make_optimizer(model.parameters(), config.optimizer, plan)
    session = Session(
        config=config,
        bundle=bundle,
        plan=plan,
        name=f"{bundle.name} {model_name(config, bundle)}",
        train=train,
        growth=growth,
        sampler=EpochSampler(split.train.to(device), plan.batch_size, config.seed),
        device=device,
        model=model,
        forward=torch.compile(model) if config.compile else model,
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, plan.steps, config.schedule),
        parameters_before=parameters_before,
    )
    return replace(session, orchestrator=_orchestrator(session, kernels, nursery, sinks))


def _orchestrator(
    session: Session, kernels: Kernels, nursery: Nursery | None, sinks: Sequence[TelemetrySink]
) -> SeedOrchestrator | None:
    model, config, (x, y) = session.model, session.config, session.growth
    if not isinstance(model, MorphableModel):
        return None
    return SeedOrchestrator(
        model,
        session.optimizer,
        loss_fn=session.bundle.loss_fn,
        growth_data=list(zip(x.split(_GROWTH_BATCH), y.split(_GROWTH_BATCH), strict=True)),
        total_steps=session.plan.steps,
        metric=session.bundle.measure,
        scheduler=session.scheduler,
        config=config.growth,
        kernels=kernels(model),
        nursery=nursery,
        sinks=sinks,
        seed=config.seed,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}; expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device is {name!r}, but this machine has no CUDA device: use cpu")
    return device


def started(session: Session) -> RunStarted:
    """The first line of a run."""
    measure, model, orchestrator = session.bundle.measure, session.model, session.orchestrator
    layers = model.kasmina_layers if isinstance(model, MorphableModel) else {}
    return RunStarted(
        step=0,
        name=as_name(session.name),
        config=config_to_mapping(session.config),
        environment=environment(session.device),
        total_steps=session.plan.steps,
        batch_size=session.plan.batch_size,
        learning_rate=session.plan.learning_rate,
        data=session.bundle.description,
        source=session.bundle.source,
        metric=measure.name,
        higher_is_better=measure.higher_is_better,
        split={
            "train": session.sampler.size,
            "growth": len(session.growth[1]),
            "test": len(session.bundle.test),
        },
        host=HostRecord(
            parameters=session.parameters_before,
            training_flops=None if orchestrator is None else orchestrator.cost().static,
            layers=tuple(layer_records(model)),
            slots={name: layer.num_seeds for name, layer in layers.items()},
        ),
    )


def resumed(session: Session, step: int, attempt: int) -> RunResumed:
    """The line with which a run goes on."""
    return RunResumed(step=step, attempt=attempt, environment=environment(session.device))


def environment(device: torch.device) -> dict[str, JsonValue]:
    """What a run ran on, for its log."""
    return {
        "esper": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }
