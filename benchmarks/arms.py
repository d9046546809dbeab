"""The arms of a growth benchmark: Esper's run, and the controls that it is reported beside.

Every arm trains on the same rows with the same batches, optimizer and schedule, and is charged for
every FLOP; the test split is measured once, at the end of each run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.bundle import DataBundle
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.compute_ledger import PROBE_SAMPLES, forward_flops, training_flops
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator
from esper.orchestration.proposals import Proposal, Stand, propose
from esper.orchestration.schedule import rewarm
from esper.orchestration.shadow import copy_module
from esper.orchestration.strategies import STRATEGIES
from esper.services.tolaria.split import EpochSampler, carve


@dataclass(frozen=True)
class Score:
    """One run of one arm."""

    test: float
    """The task's metric on the test split."""
    growth: float
    """The same on the growth split."""
    multiple: float
    """Training FLOPs, searches included, as a multiple of the static host's."""
    parameters: int
    what: str = ""
    """What was grown or chosen."""


class Setting:
    """One data set, one seed: splits, batches and the recipe, shared by all arms."""

    def __init__(
        self, bundle: DataBundle, seed: int, steps: int, make_host: Callable[[], nn.Module]
    ) -> None:
        self.bundle, self.seed, self.steps = bundle, seed, steps
        self._make_host = make_host
        rows = carve(bundle, 0.1, seed)
        self.growth = rows.growth
        self.sampler = EpochSampler(rows.train, bundle.recipe.batch_size, seed)
        self.host_step = self.step_flops(self.host())

    def host(self) -> nn.Module:
        """The host, initialised by the seed alone."""
        torch.manual_seed(self.seed)
        return self._make_host()

    def growth_batches(self) -> list[tuple[Tensor, Tensor]]:
        """The growth split in batches."""
        x, y = self.bundle.train.tensors
        return [(x[rows], y[rows]) for rows in self.growth.split(500)]

    def step_flops(self, model: nn.Module) -> float:
        """Training FLOPs per sample."""
        x, y = (t[self.growth[:PROBE_SAMPLES]] for t in self.bundle.train.tensors)
        return training_flops(copy_module(model), x, y, self.bundle.loss_fn) / len(y)

    def measure(self, model: nn.Module, *, test: bool) -> float:
        """The task's metric on a held-out split."""
        model.eval()
        x, y = self.bundle.test.tensors if test else self._growth_tensors()
        with torch.no_grad():
            output = torch.cat([model(part) for part in x.split(500)])
        model.train()
        return float(self.bundle.measure(output, y))

    def _growth_tensors(self) -> tuple[Tensor, Tensor]:
        x, y = self.bundle.train.tensors
        return x[self.growth], y[self.growth]

    def train(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        after_step: Callable[[int, Tensor, Tensor, Tensor], None],
    ) -> None:
        """The recipe: AdamW with a cosine to zero over the run."""
        x, y = self.bundle.train.tensors
        for step in range(self.steps):
            rows = self.sampler.rows(step)
            loss = self.bundle.loss_fn(model(x[rows]), y[rows])
            optimizer.zero_grad()
            torch.autograd.backward([loss])
            optimizer.step()
            after_step(step, x[rows], y[rows], loss)

    def optimizer(
        self, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The recipe's optimizer and schedule."""
        recipe = self.bundle.recipe
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)

    def score(self, model: nn.Module, multiple: float, what: str = "") -> Score:
        """Measure a finished model."""
        return Score(
            test=self.measure(model, test=True),
            growth=self.measure(model, test=False),
            multiple=multiple,
            parameters=sum(p.numel() for p in model.parameters()),
            what=what,
        )


def static(setting: Setting, model: nn.Module | None = None, what: str = "") -> Score:
    """A model that does not change; the host, if none is given."""
    model = setting.host() if model is None else model
    optimizer, scheduler = setting.optimizer(model)
    setting.train(model, optimizer, lambda *_: scheduler.step())
    return setting.score(model, setting.step_flops(model) / setting.host_step, what)


def grown(setting: Setting, config: GrowthConfig) -> tuple[Score, MorphableModel]:
    """Esper's run."""
    model = wrap(setting.host(), example_input=setting.bundle.example)
    optimizer, scheduler = setting.optimizer(model)
    grow = SeedOrchestrator(
        model,
        optimizer,
        loss_fn=setting.bundle.loss_fn,
        growth_data=setting.growth_batches(),
        total_steps=setting.steps,
        metric=setting.bundle.measure,
        scheduler=scheduler,
        config=config,
        seed=setting.seed,
    )

    def after_step(_: int, x: Tensor, y: Tensor, loss: Tensor) -> None:
        scheduler.step()
        grow.step(x, y, loss)

    setting.train(model, optimizer, after_step)
    report = grow.finish()
    kept = [d.candidate for d in report.decisions if d.verdict == "fossilise"]
    what = ", ".join(f"{c.candidate} in {c.layer_name}" for c in kept if c) or "nothing"
    return setting.score(model, report.cost.multiple, what), model


def static_final(setting: Setting, model: MorphableModel) -> Score:
    """The grown architecture, initialised afresh and trained from the start."""
    plain = export(model)
    torch.manual_seed(setting.seed + 10_000)
    for module in plain.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return static(setting, plain)


def random_growth(setting: Setting, config: GrowthConfig) -> Score:
    """A random blueprint in a random slot, grafted by Esper's schedule when its race would end."""
    model = wrap(setting.host(), example_input=setting.bundle.example)
    optimizer, scheduler = setting.optimizer(model)
    torch.manual_seed(setting.seed + 20_000)
    proposal = _random_proposal(setting, model, config)
    kernel = build(proposal.candidate.ir)
    slot = proposal.standing.layer_name
    start = round((config.first_check + config.rungs * config.rung) * setting.steps)
    ramp = max(1, round(config.ramp * setting.steps))
    model.attach_optimizer(optimizer, scheduler=scheduler)
    peak, spent = setting.bundle.recipe.learning_rate, setting.host_step * start

    def after_step(step: int, *_: Tensor) -> None:
        scheduler.step()
        now = step + 1
        if now == start:
            model.install_kernel(slot, 0, kernel, mode=proposal.standing.mode)
        if start <= now <= start + ramp:
            model.set_seed_alpha(slot, 0, (now - start) / ramp)
        if now == start + ramp:
            model.fossilize(slot, 0)
        if now >= start and len(optimizer.param_groups) > 1:
            span = setting.steps - start
            warmup = config.graft_warmup / span
            optimizer.param_groups[-1]["lr"] = peak * rewarm((now + 1 - start) / span, warmup)

    setting.train(model, optimizer, after_step)
    spent += setting.step_flops(export(model)) * (setting.steps - start)
    what = f"{proposal.standing.candidate} in {slot}"
    return setting.score(model, spent / (setting.host_step * setting.steps), what)


def best_of_search(setting: Setting, config: GrowthConfig, multiple: float) -> Score:
    """Random architectures from the same library, until the grown run's compute is used up.

    Each is trained from the start; the best on the growth split is reported. The host counts as
    the first.
    """
    best = static(setting, what="host")
    spent, tried = best.multiple, 1
    torch.manual_seed(setting.seed + 30_000)
    seeds = torch.randint(2**31, (1000,)).tolist()
    for seed in seeds:
        model = wrap(setting.host(), example_input=setting.bundle.example)
        torch.manual_seed(seed)
        proposal = _random_proposal(setting, model, config)
        slot, name = proposal.standing.layer_name, proposal.standing.candidate
        kernel = build(proposal.candidate.ir)
        model.install_kernel(slot, 0, kernel, mode=proposal.standing.mode)
        model.set_seed_alpha(slot, 0, 1.0)
        model.fossilize(slot, 0)
        plain = export(model)
        cost = setting.step_flops(plain) / setting.host_step
        if spent + cost > multiple * 1.1:
            break
        score = static(setting, plain, what=f"{name} in {slot}")
        spent, tried = spent + cost, tried + 1
        best = max(best, score, key=lambda s: s.growth)
    return Score(best.test, best.growth, spent, best.parameters, f"{best.what} (of {tried})")


def _random_proposal(setting: Setting, model: MorphableModel, config: GrowthConfig) -> Proposal:
    slots = {n: g for n, layer in model.kasmina_layers.items() if (g := layer.geometry) is not None}
    stand = Stand(
        parameters=sum(p.numel() for p in model.parameters()),
        forward_flops=forward_flops(setting.host(), setting.bundle.example) / 2,
        step_flops=setting.host_step,
        static_step_flops=setting.host_step,
        spent=0.0,
        remaining=1.0,
    )
    strategy = STRATEGIES.lookup(config.strategy)()
    proposals = propose(slots, strategy, BlueprintRegistry(config.families), stand, config)
    challengers = [p for p in proposals if p.standing.family != "control"]
    return challengers[int(torch.randint(len(challengers), (1,)))]
