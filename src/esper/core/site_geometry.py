"""What goes in and out at each site of a model, and whether kernels can stand there at all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from esper.blueprints.example import Example, tensors_in
from esper.blueprints.geometry import Geometry, trace, trace_behind
from esper.blueprints.geometry_tracing import MODEL_ERRORS, alike, undisturbed
from esper.contracts.errors import UnsupportedLayerError
from esper.contracts.site import Site
from esper.execution.host_branch import STORES


def find_geometries(
    model: nn.Module, example_input: Any, targets: Mapping[Site, nn.Module]
) -> dict[Site, Geometry]:
    """Return what goes in and out at each site, as far as an example shows it.

    Args:
        model: The model, not converted yet.
        example_input: A batch, as `esper.wrap` takes it, or None.
        targets: The sites and their modules.

    Raises:
        UnsupportedLayerError: Kernels are to stand behind a module that does not return one tensor,
            or that runs all of its children, as `nn.Sequential` does; or there is no example to
            see it by.
    """
    behind = {site.module: module for site, module in targets.items() if site.behind}
    if example_input is None and behind:
        raise UnsupportedLayerError(
            f"what module '{next(iter(behind))}' returns is not known, so no kernel can stand behind "
            f"it: pass example_input, a batch that the model takes."
        )
    if example_input is None:
        return {}
    inside = {site.module: module for site, module in targets.items() if not site.behind}
    found = {Site(name): g for name, g in trace(model, example_input, inside).items()}
    if not behind:
        return found
    # All modules that can be watched are: what a module's axes mean, those before it say.
    modules = model.named_modules()
    watched = {n: module for n, module in modules if not isinstance(module, torch.jit.ScriptModule)}
    seen = trace_behind(model, example_input, watched)
    for name, module in behind.items():
        if name not in seen:
            raise UnsupportedLayerError(
                f"no kernel can stand behind module '{name}' of type {type(module).__name__}: on the "
                f"example it was not called, or did not return one tensor of samples. Leave '{name}+' "
                f"out of target_layers."
            )
        found[Site(name, behind=True)] = seen[name]
    _check_children(model, Example.of(example_input), behind)
    return found


def _check_children(model: nn.Module, example: Example, behind: Mapping[str, nn.Module]) -> None:
    """Refuse modules that run all of their children, or count them: kernels become one of these."""
    # What is a host already, `convert` says.
    fresh = {n: module for n, module in behind.items() if STORES[True] not in module._modules}
    with undisturbed(model):
        before = tensors_in(model(*example.args, **example.kwargs))
    if _same_with_one_more_child(model, example, before, fresh.values()):
        return
    for name, module in fresh.items():
        if not _same_with_one_more_child(model, example, before, [module]):
            last = next(reversed(module._modules), None)
            raise UnsupportedLayerError(
                f"no kernel can stand behind module '{name}' of type {type(module).__name__}: it "
                f"runs whatever children it has, and would run the kernel as one of them. Let kernels "
                f"stand behind a module in it, such as '{name + '.' if name else ''}{last}+'."
            )


def _same_with_one_more_child(
    model: nn.Module, example: Example, before: list[Tensor], modules: Collection[nn.Module]
) -> bool:
    for module in modules:
        module._modules[STORES[True]] = nn.ModuleDict()
    try:
        with undisturbed(model):
            after = tensors_in(model(*example.args, **example.kwargs))
    except (*MODEL_ERRORS, AttributeError):
        return False
    finally:
        for module in modules:
            del module._modules[STORES[True]]
    return len(before) == len(after) and all(map(alike, before, after))
