"""Export: the grown model as a plain `nn.Module` tree that runs where Esper is not installed."""

from __future__ import annotations

import copy

from torch import nn

from esper.core.composition import compose
from esper.core.morphable_model import MorphableModel
from esper.execution.conversion import restore
from esper.execution.kasmina_layer import KasminaLayer, layer_of
from esper.execution.seed_slots import KERNELS


def export(model: nn.Module) -> nn.Module:
    """Return a copy of the grown model built from stock torch modules.

    A layer without a kernel at work becomes what it was. A layer with one becomes a
    `torch.fx.GraphModule` that holds the host, if it was not dropped, and the kernels; a kernel that
    is not fossilised keeps the alpha that it has. Parents that read attributes of such a layer
    (`self_attn.batch_first`, `linear1.weight`) still find them.

    Args:
        model: A `MorphableModel`, or any module with layers inside that host kernels.

    Returns:
        A module that pickles, deep-copies, goes through `torch.export` and ONNX, and loads with
        `torch.load(path, weights_only=False)` without Esper. It shares no tensor with `model` and
        takes batched, dense input.

    Raises:
        UnsupportedLayerError: A grown layer's `forward` has no explicit arguments.
    """
    plain = copy.deepcopy(model.wrapped_model if isinstance(model, MorphableModel) else model)
    replaced: dict[nn.Module, nn.Module] = {}
    for module in list(plain.modules()):
        if (layer := layer_of(module)) is not None:
            replaced[module] = _plain_layer(layer)
    if plain in replaced:
        return replaced[plain]
    for parent in list(plain.modules()):
        for name, child in list(parent._modules.items()):
            if child in replaced:
                setattr(parent, name, replaced[child])
    _leave_fused_paths(plain, {new for old, new in replaced.items() if new is not old})
    return plain


def _plain_layer(layer: KasminaLayer) -> nn.Module:
    if layer.live:
        return compose(layer)
    # What is left of a kernel at alpha 0, which computes nothing.
    layer.host._modules.pop(KERNELS, None)
    return restore(layer)


def _leave_fused_paths(model: nn.Module, grown: set[nn.Module]) -> None:
    """Switch off torch's fused encoder paths above a grown layer: they would skip its kernels.

    In a layer that hosts kernels a forward hook does this, which a plain module does not have.
    """
    for module in model.modules():
        if grown.isdisjoint(module.modules()):
            continue
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0
        elif isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False
