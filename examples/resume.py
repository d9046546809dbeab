"""Stop in the middle of a race and go on from a checkpoint: the end is the same, bit for bit.

python examples/resume.py [STEPS]
"""

import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import esper
from esper.core import checkpoint
from esper.core.morphable_model import MorphableModel
from esper.data.catalog import load

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400
stop = steps // 5  # a race is on by then
bundle = load("mnist1d")
inputs, targets = bundle.train.tensors


def batch(step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step, a function of the step alone; the last 400 samples are growth data."""
    generator = torch.Generator().manual_seed(step)
    rows = torch.randint(len(inputs) - 400, (100,), generator=generator)
    return inputs[rows], targets[rows]


def start() -> tuple[MorphableModel, torch.optim.Optimizer, esper.SeedOrchestrator]:
    """Model, optimizer and orchestrator of a run at its beginning."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 10))
    model = esper.wrap(net, example_input=bundle.example)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    grow = esper.SeedOrchestrator(
        model,
        optimizer,
        loss_fn=F.cross_entropy,
        growth_data=[(inputs[-400:], targets[-400:])],
        total_steps=steps,
    )
    return model, optimizer, grow


def train(
    model: MorphableModel, optimizer: torch.optim.Optimizer, grow: esper.SeedOrchestrator, to: int
) -> None:
    """Train up to a step."""
    while grow.current_step < to:
        x, y = batch(grow.current_step)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        grow.step(x, y, loss)


path = Path(tempfile.mkdtemp()) / "checkpoint.pt"
model, optimizer, grow = start()
train(model, optimizer, grow, stop)
checkpoint.save(path, model=model, optimizer=optimizer, orchestrator=grow)
print(f"saved at step {stop}; race in progress: {grow.is_racing}")
train(model, optimizer, grow, steps)

again, its_optimizer, its_grow = start()
checkpoint.restore(
    checkpoint.load(path), model=again, optimizer=its_optimizer, orchestrator=its_grow
)
train(again, its_optimizer, its_grow, steps)

first, second = model.state_dict(), again.state_dict()
assert first.keys() == second.keys()
assert all(torch.equal(first[name], second[name]) for name in first)
print(f"resumed at step {stop}: the same weights at step {steps}")
print(grow.finish().summary)
