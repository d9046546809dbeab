"""The manifest: what a model has grown, as JSON, and how to grow a fresh model to it.

It says everything about the layers that a `state_dict` does not: kernels' graphs and digests, their
phases and alphas, the order in which they are blended, and whether the host is still there. It is
replayed before the weights are loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode
from esper.contracts.errors import CheckpointError
from esper.contracts.lifecycle import SeedPhase
from esper.core.kernel_guard import Isolations, guard
from esper.core.morphable_model import MorphableModel
from esper.execution.host_branch import PLACEHOLDERS, STORES
from esper.execution.kasmina_host import plain_class
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kasmina_layer import kasmina_layers as find_layers
from esper.execution.seed import Seed

SCHEMA = 1

Record = dict[str, Any]


def kasmina_layers(model: nn.Module) -> dict[str, KasminaLayer]:
    """Return the KasminaLayers of any model by qualified name; none for a plain model."""
    if isinstance(model, MorphableModel):
        return model.kasmina_layers
    return find_layers(model)


def manifest(model: nn.Module) -> Record:
    """Return the structure of a model as plain JSON values.

    Raises:
        CheckpointError: A kernel has no graph, so nobody could build it again.
    """
    layers = {name: _layer_record(layer) for name, layer in kasmina_layers(model).items()}
    calls = model.total_forward_calls if isinstance(model, MorphableModel) else 0
    return {
        "schema": SCHEMA,
        "layers": layers,
        "tied": _tied(model),
        "total_forward_calls": calls,
    }


def replay(model: nn.Module, saved: Record) -> None:
    """Give a model the structure of a manifest, whatever it has grown itself.

    Kernels that are there already, of the same graph, stay the same objects; new ones are built
    with weights that are to be overwritten.

    Raises:
        CheckpointError: The manifest is of another model; the message names the layers.
    """
    if saved["schema"] != SCHEMA:
        raise CheckpointError(
            f"the manifest has schema {saved['schema']}, this version reads {SCHEMA}. "
            f"Use the version of esper that wrote it."
        )
    layers = kasmina_layers(model)
    _check_layers(layers, saved["layers"])
    rebuilt: set[str] = set()
    isolations = model.isolations if isinstance(model, MorphableModel) else Isolations()
    for name, record in saved["layers"].items():
        rebuilt |= {_join(name, path) for path in _replay_layer(layers[name], record)}
        if record["kernels"] or record["host_dropped"]:
            guard(layers[name], isolations)
    _retie(model, saved["tied"], rebuilt)
    if isinstance(model, MorphableModel):
        model.note_guards()
        model.total_forward_calls = saved["total_forward_calls"]


# Writing -------------------------------------------------------------------------------------------


def _layer_record(layer: KasminaLayer) -> Record:
    kernels = layer.kernels
    return {
        "type": plain_class(layer.host).__name__,
        "host_dropped": layer.host_dropped,
        "order": list(layer.order),
        "kernels": [] if kernels is None else [int(key) for key in kernels._modules],
        "host": {path: _own_tensors(module) for path, module in _host_modules(layer).items()},
        "seeds": [_seed_record(layer, seed) for seed in layer.seeds()],
    }


def _seed_record(layer: KasminaLayer, seed: Seed) -> Record:
    if seed.kernel is not None and seed.ir is None:
        raise CheckpointError(
            f"the kernel in seed {seed.index} of layer '{layer.name}' was installed without its "
            f"graph, so a checkpoint could not build it again. Install it with ir=, or cull it."
        )
    health = float(layer.state.health_accumulator[seed.index])
    return {
        "index": seed.index,
        "phase": seed.phase.name,
        "alpha": seed.alpha,
        "mode": str(seed.mode),
        "ir": None if seed.ir is None else seed.ir.to_json(),
        "kernel_id": seed.kernel_id,
        "label": seed.label,
        "strikes": seed.strikes,
        "embargo_until": seed.embargo_until,
        "frozen": seed.frozen,
        "health": None if math.isnan(health) else health,
    }


def _host_modules(layer: KasminaLayer) -> dict[str, nn.Module]:
    """Return the layer and the modules below it that are the host's, by path; none behind it."""
    below = () if layer.behind else layer.host.named_modules()
    return {path: m for path, m in below if path.split(".")[0] not in STORES}


def _own_tensors(module: nn.Module) -> Record:
    return {
        kind: {name: _spec(tensor) for name, tensor in getattr(module, f"_{kind}").items()}
        for kind in ("parameters", "buffers")
    }


def _spec(tensor: torch.Tensor | None) -> list[Any] | None:
    if tensor is None:
        return None
    return [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]


def _tied(model: nn.Module) -> list[list[str]]:
    """Return the groups of names under which one and the same parameter is found."""
    root = model.wrapped_model if isinstance(model, MorphableModel) else model
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in root.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return [group for group in names.values() if len(group) > 1]


# Replaying -----------------------------------------------------------------------------------------


def _check_layers(layers: Mapping[str, KasminaLayer], saved: Mapping[str, Record]) -> None:
    missing, unexpected = sorted(set(saved) - set(layers)), sorted(set(layers) - set(saved))
    if missing or unexpected:
        raise CheckpointError(
            f"the checkpoint is of another model: layers missing here {missing or 'none'}, "
            f"unexpected here {unexpected or 'none'}. Wrap the same model with the same targets."
        )
    for name, record in saved.items():
        kind, slots = plain_class(layers[name].host).__name__, len(record["seeds"])
        if kind != record["type"] or layers[name].num_seeds != slots:
            raise CheckpointError(
                f"the checkpoint is of another model: layer '{name}' is {record['type']} with "
                f"{slots} seeds there, and {kind} with {layers[name].num_seeds} here."
            )


def _replay_layer(layer: KasminaLayer, record: Record) -> set[str]:
    """Return the names, within the layer, of the parameters that had to be made anew."""
    rebuilt: set[str] = set()
    if record["host_dropped"] and not layer.host_dropped:
        layer.drop_host()
    elif not record["host_dropped"]:
        for path, module in _host_modules(layer).items():
            made = _rebuild_tensors(module, record["host"][path], layer.state.device)
            rebuilt |= {_join(path, name) for name in made}
        layer.host_dropped = False
    _replay_kernels(layer, record)
    for seed, entry in zip(layer.seeds(), record["seeds"], strict=True):
        _replay_seed(layer, seed, entry)
    layer.order[:] = record["order"]
    layer._refresh()
    return rebuilt


def _rebuild_tensors(module: nn.Module, record: Record, device: torch.device) -> list[str]:
    """Make the module's own tensors those of the record: a dropped or folded host comes back.

    Returns the names of the parameters that had to be made anew.
    """
    made: list[str] = []
    for name in module.__dict__.pop(PLACEHOLDERS, ()):
        del module.__dict__[name]
    for name, spec in record["parameters"].items():
        if _spec(module._parameters.get(name)) == spec and name in module._parameters:
            continue
        if name in module._parameters and None not in (spec, module._parameters[name]):
            continue  # another shape: the check of the weights names it
        module.register_parameter(name, None)
        if spec is not None:
            setattr(module, name, nn.Parameter(_empty(spec, device)))
            made.append(name)
    for name, spec in record["buffers"].items():
        if name not in module._buffers:
            persistent = name not in module._non_persistent_buffers_set
            tensor = None if spec is None else _empty(spec, device)
            module.register_buffer(name, tensor, persistent=persistent)
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()
    return made


def _retie(model: nn.Module, groups: list[list[str]], rebuilt: set[str]) -> None:
    """Let the same names share one parameter as when the manifest was written, and no others."""
    root = model.wrapped_model if isinstance(model, MorphableModel) else model
    here = dict(root.named_parameters(remove_duplicate=False))
    group_of = {name: index for index, names in enumerate(groups) for name in names}
    for names in groups:
        present = [name for name in names if name in here]
        # What was made anew joins what has been there all along, which an optimizer may hold.
        keep = min(present, key=lambda name: name in rebuilt, default="")
        for name in present:
            if here[name] is not here[keep] and here[name].shape == here[keep].shape:
                _set_parameter(root, name, here[keep])
    owners: dict[nn.Parameter, int | str] = {}
    for name, parameter in root.named_parameters(remove_duplicate=False):
        group = group_of.get(name, name)
        if owners.setdefault(parameter, group) != group:
            _set_parameter(root, name, nn.Parameter(parameter.detach().clone()))


def _set_parameter(root: nn.Module, name: str, parameter: nn.Parameter) -> None:
    path, _, last = name.rpartition(".")
    setattr(root.get_submodule(path), last, parameter)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _empty(spec: list[Any], device: torch.device) -> torch.Tensor:
    shape, dtype = spec
    return torch.zeros(shape, dtype=getattr(torch, dtype), device=device)


def _replay_kernels(layer: KasminaLayer, record: Record) -> None:
    """Put the kernels of the record into the layer, in its order: parameters are iterated in it."""
    kernels: dict[int, nn.Module] = {}
    for index in record["kernels"]:
        ir = GraphIR.from_json(record["seeds"][index]["ir"])
        seed = layer.seed(index)
        if seed.kernel is None or seed.ir != ir:
            kernels[index] = build(ir, seed=0)
            layer._prepare(kernels[index])
        else:
            kernels[index] = seed.kernel
    for seed in layer.seeds():
        layer._release(seed)
    for index, kernel in kernels.items():
        layer._register(layer.seed(index), kernel)


def _replay_seed(layer: KasminaLayer, seed: Seed, entry: Record) -> None:
    seed.phase = SeedPhase[entry["phase"]]
    seed.mode = KernelMode(entry["mode"])
    seed.ir = None if entry["ir"] is None else GraphIR.from_json(entry["ir"])
    for name in ("alpha", "kernel_id", "label", "strikes", "embargo_until"):
        setattr(seed, name, entry[name])
    frozen = entry.get("frozen", False)  # not in manifests of earlier versions
    if seed.kernel is not None and (frozen or seed.frozen):
        seed.kernel.requires_grad_(not frozen)
    seed.frozen = frozen
    state = layer.state
    state.clear(seed.index)
    state.write(
        seed.index, phase=seed.phase, kernel_id=seed.kernel_id or "", alpha=float(seed.alpha)
    )
    if entry["health"] is not None:
        state.health_accumulator[seed.index] = entry["health"]
    if layer.executor is not None:
        layer.executor.reinstate(seed.index)
