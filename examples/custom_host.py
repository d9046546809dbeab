"""A layer of your own that can carry kernels: `register_host` and a control.

python examples/custom_host.py
"""

import torch
from torch import Tensor, nn

import esper
from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.catalog import candidate, candidates, control
from esper.blueprints.library.host_copy import CONTROLS
from esper.contracts.enums import KernelMode, Layout


class CosineLayer(nn.Module):
    """A linear map of the input's direction: `W x / |x|`."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / in_features**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_features) to (B, out_features)."""
        return nn.functional.linear(nn.functional.normalize(x, dim=-1), self.weight)


def geometry_of(layer: CosineLayer) -> Geometry:
    """What the layer reads and returns: blueprints are chosen by it."""
    returned, read = layer.weight.shape
    return Geometry(
        host="cosine", layout=Layout.FLAT, input_shape=(read,), output_shape=(returned,)
    )


@CONTROLS.register("cosine")
def fresh_copy(g: GraphBuilder, geometry: Geometry) -> str:
    """The control of a race: what a freshly initialised layer of this kind computes."""
    direction = g.add("rms_norm", "x")
    return g.add("linear", direction, out_features=geometry.output_shape[-1], bias=False)


esper.register_host(CosineLayer, geometry=geometry_of)

torch.manual_seed(0)
net = nn.Sequential(CosineLayer(16, 32), nn.ReLU(), nn.Linear(32, 4))
model = esper.wrap(net, target_layers=[CosineLayer])
geometry = model.layer("0").geometry
assert geometry is not None
fitting = candidates(geometry)
print(
    f"{len(fitting)} blueprints fit, the first {fitting[0].label}; control: {control(geometry).label}"
)

blueprint = candidate(geometry, "low-rank", "large", KernelMode.RESIDUAL)
model.install_kernel("0", 0, build(blueprint.ir), mode=blueprint.mode, ir=blueprint.ir)
model.set_seed_alpha("0", 0, 1.0)
x = torch.randn(8, 16)
assert torch.equal(model(x), net(x)), "a residual kernel is the identity at birth"
print("a residual kernel at alpha 1 changes nothing before it has learnt")
torch.testing.assert_close(esper.export(model)(x), model(x))
print("exported:", esper.export(model))
