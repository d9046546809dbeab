"""wrap and unwrap: a plain PyTorch model becomes a MorphableModel, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from esper.contracts.errors import ConfigError
from esper.contracts.ports import KernelSource
from esper.core.kernel_supply import KernelSupply
from esper.core.morphable_model import MorphableModel
from esper.core.single_process import check_single_process
from esper.core.site_geometry import find_geometries
from esper.core.targets import find_targets
from esper.execution.conversion import convert, restore
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kernel_cache import KernelCache

_MEBIBYTE = 2**20


def wrap(
    model: nn.Module,
    target_layers: Sequence[type[nn.Module] | str] | None = None,
    seeds_per_layer: int = 4,
    cache_size_mb: int = 128,
    telemetry_enabled: bool = True,
    preserve_original: bool = True,
    *,
    example_input: Any = None,
    inplace: bool = False,
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    kernel_source: KernelSource | KernelCache | None = None,
) -> MorphableModel:
    """Return a model that computes what `model` computes, and whose layers can carry kernels.

    Each target layer changes its class, and nothing that it has is named otherwise: parameter names, `state_dict` keys and
    tied weights stay, and outputs are bit-identical until a kernel is blended in.

    Args:
        model: The model. It is copied and not modified, unless `inplace`.
        target_layers: Layer types, and qualified names of layers. A name with `+` is the place
            behind a module of any type, on its output (`features.3+`, a residual block there makes
            the model deeper); `*` stands for a part of a name (`blocks.*.norm1+`). Default:
            `nn.Linear`, and with `example_input` also `nn.Conv1d` and `nn.Conv2d`. A layer whose
            parent reads its weights past it (`MultiheadAttention.out_proj`) is left alone, unless
            it is named.
        seeds_per_layer: Kernel slots of each layer, at least 1.
        cache_size_mb: Kernel cache in MiB per layer; the layers share one cache of the whole size.
        telemetry_enabled: Whether health probes measure the layers.
        preserve_original: Whether to keep the model as it was, for `compare_with_original` and
            `unwrap`. In place there is nothing to keep.
        example_input: A batch: a tensor, a tuple of arguments or a dictionary of keyword arguments.
            It tells what goes in and out of each layer, which kernels need to fit.
        inplace: Convert the given model itself. It saves the copy; an optimizer that was made
            from the model's parameters stays valid.
        filter_fn: `(module, name)`; only layers for which it is true are taken.
        kernel_source: Where `load_kernel` looks up ids; default: the local kernel store. A
            `KernelCache` is used as it is, with its tiers and its trust policy, and may serve
            several models; before any other source a cache of the size above is put.

    Returns:
        The wrapped model.

    Raises:
        UnsupportedLayerError: A type or layer that was named cannot host kernels; the message
            lists what can. It is a NotImplementedError.
        LayerNotFoundError: A layer that was named does not exist, or there is nothing to wrap.
            It is a ValueError.
        ConfigError: `seeds_per_layer` or `cache_size_mb` is out of range, the model is wrapped, or
            `torch.distributed` runs with more than one process.
    """
    check_single_process("esper.wrap")
    if isinstance(model, MorphableModel):
        raise ConfigError("the model is a MorphableModel already; unwrap it before wrapping again.")
    if cache_size_mb < 1:
        raise ConfigError(f"cache_size_mb is {cache_size_mb}; give at least 1.")
    original = model if preserve_original and not inplace else None
    wrapped = model if inplace else copy.deepcopy(model)
    targets = find_targets(wrapped, target_layers, filter_fn, traced=example_input is not None)
    geometries = find_geometries(wrapped, example_input, targets)
    like = next((p for p in wrapped.parameters() if p.is_floating_point()), None)
    layers: dict[str, KasminaLayer] = {}
    try:
        for site, module in targets.items():
            layers[str(site)] = convert(
                module,
                num_seeds=seeds_per_layer,
                name=str(site),
                telemetry=telemetry_enabled,
                geometry=geometries.get(site),
                behind=site.behind,
                like=like,
            )
    except Exception:
        # Not swallowed: a model that was given for conversion in place is handed back as it came.
        for converted in layers.values():
            restore(converted.host)
        raise
    supply = KernelSupply(kernel_source, cache_size_mb * _MEBIBYTE * len(layers))
    return MorphableModel(wrapped, layers, original, supply=supply)


def unwrap(morphable_model: MorphableModel) -> nn.Module:
    """Return the original model, with the weights that it had when it was wrapped.

    Where the original was not kept, the wrapped model is returned: as the plain model, trained
    weights and all, if it has not grown (the MorphableModel is spent then), or as it is if it
    has. For the trained and grown model without a trace of Esper use :func:`esper.export`.
    """
    if morphable_model.original_model is not None:
        return morphable_model.original_model
    if not morphable_model.morphogenetic_active:
        for name in list(morphable_model.kasmina_layers):
            restore(morphable_model.kasmina_layers.pop(name).host)
    return morphable_model.wrapped_model
