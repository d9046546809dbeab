"""A kernel family of your own, which races beside the library's.

python examples/custom_blueprint.py [STEPS]
"""

import sys
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import esper
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_vectors, last
from esper.contracts.enums import KernelMode

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
torch.manual_seed(0)


@family("product", "Products of two linear maps: second-order features of a vector")
class Product(Family):
    """`W (A x * B x)`: what a ReLU network needs many units for."""

    sizes = sizes(small=16, large=64)
    order = 5  # those with a lower order race first

    def fits(self, geometry: Geometry) -> bool:
        """Wherever vectors become vectors."""
        return is_vectors(geometry)

    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        """Write the graph from "x" on, and return the name of its output."""
        left = g.add("linear", "x", out_features=size)
        right = g.add("linear", "x", out_features=size)
        product = g.add("mul", left, right)
        # In residual mode the last layer starts at zero: the kernel is the identity at birth.
        return g.add("linear", product, out_features=geometry.output_shape[-1], init=last(mode))


# A task that products solve: the sign of a sum of products.
x = torch.randn(4000, 12)
y = ((x[:, :6] * x[:, 6:]).sum(1) > 0).long()
train = DataLoader(TensorDataset(x[:3000], y[:3000]), batch_size=100, shuffle=True)
growth = DataLoader(TensorDataset(x[3000:3500], y[3000:3500]), batch_size=500)

net = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2))
model = esper.wrap(net, example_input=x[:2])
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
grow = esper.SeedOrchestrator(
    model,
    optimizer,
    loss_fn=F.cross_entropy,
    growth_data=growth,
    total_steps=steps,
    config=esper.GrowthConfig(families=("product", "low-rank")),
)
while grow.current_step < steps:
    for inputs, targets in train:
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        grow.step(inputs, targets, loss)
        if grow.current_step == steps:
            break

report = grow.finish()
raced = {standing.candidate for race in report.races for standing in race.entrants}
print("raced:", ", ".join(sorted(raced)) or "nobody")
print(report.summary)
accuracy = (esper.export(model).eval()(x[3500:]).argmax(1) == y[3500:]).float().mean()
print(f"test accuracy {accuracy:.1%}")
