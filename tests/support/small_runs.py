"""A small model with an orchestrator, whose steps a test makes by hand: nothing has to be learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from esper.contracts.enums import KasminaAction
from esper.contracts.messages import KasminaControlCommand
from esper.contracts.operational import AdaptationDecision, GrowthObservation
from esper.core.model_wrapper import wrap
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator

TOTAL_STEPS = 200
BATCH = 20
NEVER = GrowthConfig(max_grafts=0)


class Kept:
    """A sink that keeps the events themselves."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: BaseModel) -> None:
        """Keep the event."""
        self.events.append(event)

    def of(self, kind: type[BaseModel]) -> list[Any]:
        """Those of one class, in order."""
        return [event for event in self.events if isinstance(event, kind)]


class Eager:
    """A controller that opens a race whenever it is asked, over one layer."""

    def __init__(self, layer_name: str = "0") -> None:
        self.layer_name = layer_name

    def decide(self, observation: GrowthObservation) -> AdaptationDecision:
        """Grow."""
        return AdaptationDecision(
            step=observation.step, layers=(self.layer_name,), reason="for the test"
        )


def data(n: int) -> tuple[Tensor, Tensor]:
    """Made-up samples of two classes."""
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, 6, generator=generator), torch.arange(n) % 2


class SmallRun:
    """A user's loop over a perceptron of 6-8-2.

    Args:
        config: of the growth.
        optimizer: made from the wrapped model; AdamW by default.
        options: further arguments of the orchestrator.
    """

    def __init__(
        self,
        config: GrowthConfig = NEVER,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        self.model = wrap(net, example_input=data(4)[0])
        self.optimizer = (
            torch.optim.AdamW(self.model.parameters(), lr=1e-3)
            if optimizer is None
            else optimizer(self.model)
        )
        self.kept = Kept()
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[data(100)],
            total_steps=TOTAL_STEPS,
            config=config,
            sinks=[self.kept],
            **({} if options is None else options),
        )

    def train(self, steps: int) -> None:
        """So many whole steps."""
        for _ in range(steps):
            x, y = data(BATCH)
            loss = F.cross_entropy(self.model(x), y)
            self.optimizer.zero_grad()
            torch.autograd.backward([loss])
            self.optimizer.step()
            self.grow.step(x, y, loss)

    def command(self, action: KasminaAction, **more: Any) -> KasminaControlCommand:
        """A command for the first seed of the first layer."""
        where = {"run_id": "r", "layer_name": "0", "seed_idx": 0}
        return KasminaControlCommand.model_validate({**where, **more, "action": action})
