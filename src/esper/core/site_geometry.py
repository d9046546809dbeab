"""What goes in and out at each site of a model, and whether kernels can stand there at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from esper.blueprints.example import Example
from esper.blueprints.geometry import Geometry, trace, trace_behind
from esper.blueprints.geometry_tracing import undisturbed
from esper.contracts.errors import UnsupportedLayerError
from esper.contracts.site import Site
from esper.core.composition import pass_through


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
            whose arguments a graph cannot name, or into which its parent reaches; or there is no
            example to see it by.
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
    # All modules are looked at: what a module's axes mean, those before it say.
    seen = trace_behind(model, example_input, dict(model.named_modules()))
    for name, module in behind.items():
        if name not in seen:
            raise UnsupportedLayerError(
                f"no kernel can stand behind module '{name}' of type {type(module).__name__}: on the "
                f"example it was not called, or did not return one tensor of samples. Leave '{name}+' "
                f"out of target_layers."
            )
        found[Site(name, behind=True)] = seen[name]
    _check_parents(model, Example.of(example_input), behind)
    return found


def _check_parents(model: nn.Module, example: Example, behind: Mapping[str, nn.Module]) -> None:
    """Refuse modules that a graph could not stand for: an export puts one in their place.

    A parent that only calls its child does not notice it; one that reads the child's children
    does (`nn.TransformerEncoder` looks into its first layer).
    """
    places = {
        module: [
            (parent, name)
            for parent in model.modules()
            for name, child in parent._modules.items()
            if child is module
        ]
        for module in behind.values()
    }
    for name, module in behind.items():
        stand_in = pass_through(module, name)
        with undisturbed(model):
            try:
                for parent, leaf in places[module]:
                    parent._modules[leaf] = stand_in
                model(*example.args, **example.kwargs)
            except AttributeError as error:
                raise UnsupportedLayerError(
                    f"no kernel can stand behind module '{name}': its parent reads what is inside it "
                    f"({error}), which an exported model could not offer. Leave '{name}+' out of "
                    f"target_layers."
                ) from error
            finally:
                for parent, leaf in places[module]:
                    parent._modules[leaf] = module
