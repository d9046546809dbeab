"""Esper in your own training loop: the twenty lines that matter, on MNIST-1D.

python examples/own_loop.py [STEPS]
"""

import sys

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

import esper
from esper.data.catalog import load

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
torch.manual_seed(0)

bundle = load("mnist1d")
data: TensorDataset = bundle.train
train, growth = random_split(data, [0.9, 0.1])
train_loader = DataLoader(train, batch_size=100, shuffle=True)
net = nn.Sequential(
    nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)
)

model = esper.wrap(net, example_input=bundle.example)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
grow = esper.SeedOrchestrator(
    model,
    optimizer,
    loss_fn=F.cross_entropy,
    growth_data=DataLoader(growth, batch_size=400),
    total_steps=steps,
    metric=lambda output, y: (output.argmax(1) == y).float().mean(),
    scheduler=scheduler,
)
while grow.current_step < steps:
    for x, y in train_loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        grow.step(x, y, loss)  # at the step boundary; does nothing most of the time
        if grow.current_step == steps:
            break

report = grow.finish()
plain = esper.export(model).eval()
x, y = bundle.test.tensors
accuracy = (plain(x).argmax(1) == y).float().mean()

print(report.summary)
print(f"test accuracy {accuracy:.1%}, {report.cost.multiple:.2f} times the host's training compute")
print(plain)
