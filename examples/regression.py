"""Regression: the same call, with a mean squared error, on scikit-learn's diabetes data.

    python examples/regression.py [STEPS]

A few hundred noisy measurements that a small network already fits: growing nothing is the usual,
and the right, end of this run.
"""

import sys

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import esper

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
torch.manual_seed(0)

features, target = load_diabetes(return_X_y=True)
x = torch.tensor(features, dtype=torch.float32)
x = (x - x.mean(0)) / x.std(0)
y = torch.tensor(target, dtype=torch.float32).unsqueeze(1)
y = (y - y.mean()) / y.std()
order = torch.randperm(len(x))
train, growth, test = order[:250], order[250:360], order[360:]
loader = DataLoader(TensorDataset(x[train], y[train]), batch_size=50, shuffle=True)

model = esper.wrap(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)), example_input=x)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
grow = esper.SeedOrchestrator(
    model,
    optimizer,
    loss_fn=F.mse_loss,
    growth_data=[(x[growth], y[growth])],
    total_steps=steps,
    metric=lambda output, target: 1 - F.mse_loss(output, target) / target.var(),  # R squared
)
while grow.current_step < steps:
    for inputs, targets in loader:
        loss = F.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        grow.step(inputs, targets, loss)
        if grow.current_step == steps:
            break

report = grow.finish()
plain = esper.export(model).eval()
with torch.no_grad():
    error = F.mse_loss(plain(x[test]), y[test])
print(report.summary)
print(f"test R squared {1 - error / y[test].var():.2f}")
for decision in report.decisions:
    print(f"step {decision.step}: {decision.verdict}: {decision.reason}")
