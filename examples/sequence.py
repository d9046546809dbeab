"""Sequences: a causal transformer over the characters of a text file (by default, of this one).

python examples/sequence.py [STEPS] [FILE]
"""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import esper
from esper.data.catalog import load

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
path = sys.argv[2] if len(sys.argv) > 2 else Path(__file__)
torch.manual_seed(0)

bundle = load("text", path=path, context=32, stride=2)
inputs, targets = bundle.train.tensors
cut = int(0.85 * len(inputs))
gap = bundle.overlap  # neighbouring windows share characters: leave out those that would
train = DataLoader(
    TensorDataset(inputs[: cut - gap], targets[: cut - gap]), batch_size=32, shuffle=True
)
growth = DataLoader(TensorDataset(inputs[cut:], targets[cut:]), batch_size=64)


def loss_fn(output: Tensor, target: Tensor) -> Tensor:
    """Nats per character; output (B, S, V), target (B, S)."""
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


model = esper.wrap(bundle.model(), example_input=bundle.example)
for name in model.get_layer_names():
    geometry = model.layer(name).geometry
    assert geometry is not None
    print(f"{name}: {geometry.layout}, causal: {geometry.causal}")

optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
grow = esper.SeedOrchestrator(
    model, optimizer, loss_fn=loss_fn, growth_data=growth, total_steps=steps
)
while grow.current_step < steps:
    for x, y in train:
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        grow.step(x, y, loss)
        if grow.current_step == steps:
            break

report = grow.finish()
print(report.summary)
plain = esper.export(model).eval()
x, y = bundle.test.tensors
with torch.no_grad():
    bits = loss_fn(plain(x), y).item() / math.log(2)
print(f"test: {bits:.2f} bits per character")
