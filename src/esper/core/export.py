"""Export: the grown model as a plain `nn.Module` tree that runs where Esper is not installed."""

from __future__ import annotations

import copy

from torch import nn

from esper.core.composition import compose, compose_hook
from esper.core.morphable_model import MorphableModel
from esper.execution.conversion import restore
from esper.execution.host_branch import STORES
from esper.execution.kasmina_host import KasminaHost

_BEHIND = "grown_behind"


def export(model: nn.Module) -> nn.Module:
    """Return a copy of the grown model built from stock torch modules.

    A layer without a kernel at work becomes what it was. A layer with one becomes a
    `torch.fx.GraphModule` that holds the host, if it was not dropped, and the kernels; a kernel that
    is not fossilised keeps the alpha that it has. Parents that read attributes of such a layer
    (`self_attn.batch_first`, `linear1.weight`) still find them. A module with kernels behind it
    becomes what it was, and they are a forward hook and a submodule of it, `grown_behind`.

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
    made: dict[nn.Module, nn.Module] = {}
    plain = _plain_tree(plain, made)
    hooked = {new for new in made.values() if _BEHIND in new._modules}
    _leave_fused_paths(plain, hooked | {new for old, new in made.items() if new is not old})
    return plain


def _plain_tree(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """Return what stands for a module in the exported model, its children's stand-ins inside."""
    if module not in made:
        for name, child in list(module._modules.items()):
            if child is not None and name not in STORES:
                new = _plain_tree(child, made)
                if new is not child:
                    setattr(module, name, new)
        made[module] = _plain_module(module) if isinstance(module, KasminaHost) else module
    return made[module]


def _plain_module(module: KasminaHost) -> nn.Module:
    inside, behind = module._esper.inside, module._esper.behind
    if inside is not None and inside.live:
        grown = compose(inside)
        return compose(behind, grown) if behind is not None and behind.live else grown
    hook = compose_hook(behind) if behind is not None and behind.live else None
    for layer in module._esper.layers():
        layer.live = ()
    module._esper.refresh(module)
    for store in STORES:  # also what is left of a kernel at alpha 0, which computes nothing
        module._modules.pop(store, None)
    plain = restore(module)
    if hook is not None:
        plain.add_module(_BEHIND, hook)
        plain.register_forward_hook(hook, prepend=True)
    return plain


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
