"""A kernel by hand: build a file, load it (with `await` and without), blend it in, take it out.

python examples/manual_kernel.py
"""

import asyncio
import tempfile
from pathlib import Path

import torch
from torch import nn

import esper
from esper.blueprints.build import build
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode
from esper.execution.artifact import pack

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 10)).eval()
x = torch.randn(8, 40)
model = esper.wrap(net, example_input=x)
print("layers that can carry kernels:", model.get_layer_names())

# A kernel file: a graph from the library, fitted to the layer, and its weights.
geometry = model.layer("0").geometry
assert geometry is not None
blueprint = candidate(geometry, "conv1d", "small", KernelMode.REPLACING)
data = pack(build(blueprint.ir, seed=0), blueprint.ir, blueprint.mode, blueprint=blueprint.label)
path = Path(tempfile.mkdtemp()) / "kernel.safetensors"
path.write_bytes(data)
print(f"{blueprint.label}: {blueprint.cost.parameters:,} parameters, {len(data):,} bytes")


async def with_an_event_loop() -> None:
    """Load, blend and unload in a program that has an event loop."""
    assert await model.load_kernel("0", seed_idx=0, artifact_id=path)
    print("loaded, alpha 0:", model.compare_with_original(x)["max_absolute_difference"])
    for alpha in (0.5, 1.0):
        model.set_seed_alpha("0", 0, alpha)
        difference = model.compare_with_original(x)["max_absolute_difference"]
        print(f"alpha {alpha}: outputs differ by up to {difference:.3f}")
    assert await model.unload_kernel("0", seed_idx=0)


asyncio.run(with_an_event_loop())
assert torch.equal(model(x), net(x)), "an unloaded kernel leaves nothing behind"
print("unloaded: bit-identical to the original again")

# The same without an event loop, and kept for good.
model.load_kernel_sync("0", 0, path)
model.set_seed_alpha("0", 0, 1.0)
model.fossilize("0", 0)
print("fossilised:", model.get_layer_stats("0")["seeds"][0]["phase"])
print(esper.export(model))
