"""Transaction: a change of structure that happens as a whole or not at all.

What is kept is structure: which parameters, modules and seeds there are, which groups an optimizer
has. Values are kept only where a change writes into them (folding a kernel into its host).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.optim import Optimizer

from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.seed import Seed
from esper.execution.state_layout import FIELDS

Undo = Callable[[], None]

# What `nn.Module.__setattr__` and the registering methods write into, besides `__dict__` itself.
_STORES = ("_parameters", "_buffers", "_modules", "_forward_hooks")


@contextmanager
def transaction(
    layers: Iterable[KasminaLayer], optimizers: Iterable[Optimizer], *, values: bool = False
) -> Iterator[None]:
    """Put everything back as it was if the body raises.

    Args:
        layers: The layers that the body may change.
        optimizers: The optimizers that it may change.
        values: Keep copies of the layers' tensors too: for bodies that write into them.
    """
    undo = [_layer_undo(layer, values=values) for layer in layers]
    undo += [_optimizer_undo(optimizer) for optimizer in optimizers]
    try:
        yield
    except BaseException:
        for put_back in undo:
            put_back()
        raise


def _layer_undo(layer: KasminaLayer, *, values: bool) -> Undo:
    undo = [_module_undo(module) for module in layer.host.modules()]
    undo.append(_growth_undo(layer))
    trained = [(parameter, parameter.requires_grad) for parameter in layer.host.parameters()]
    undo.append(lambda: _train_again(trained))
    if values:
        tensors = [*layer.host.parameters(), *layer.host.buffers()]
        kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
        undo.append(lambda: _write_back(kept))
    return lambda: _run(undo)


def _write_back(kept: list[tuple[Any, Any]]) -> None:
    for tensor, value in kept:
        tensor.data.copy_(value)


def _train_again(trained: list[tuple[nn.Parameter, bool]]) -> None:
    for parameter, requires_grad in trained:
        parameter.requires_grad_(requires_grad)


def _run(undo: list[Undo]) -> None:
    for put_back in undo:
        put_back()


def _module_undo(module: nn.Module) -> Undo:
    attributes = dict(module.__dict__)
    stores = {name: copy.copy(attributes[name]) for name in _STORES}

    def put_back() -> None:
        module.__dict__.clear()
        module.__dict__.update(attributes)
        for name, content in stores.items():
            store = module.__dict__[name]
            store.clear()
            store.update(content)

    return put_back


def _growth_undo(layer: KasminaLayer) -> Undo:
    state = layer.state
    seeds = [
        (seed, {name: getattr(seed, name) for name in Seed.__slots__}) for seed in layer.seeds()
    ]
    # The seeds and the state stay the same objects with their old content: others may hold them.
    kept = {name: list(v) if isinstance(v, list) else v for name, v in vars(layer).items()}
    tensors = {name: getattr(state, name).clone() for name in FIELDS}

    def put_back() -> None:
        for seed, values in seeds:
            for name, value in values.items():
                setattr(seed, name, value)
        for name, value in kept.items():
            setattr(layer, name, value)
        for name, value in tensors.items():
            setattr(state, name, value)

    return put_back


def _optimizer_undo(optimizer: Optimizer) -> Undo:
    groups = [(group, dict(group), list(group["params"])) for group in optimizer.param_groups]
    names = [list(group.get("param_names", ())) for group in optimizer.param_groups]
    state = {parameter: dict(values) for parameter, values in optimizer.state.items()}

    def put_back() -> None:
        optimizer.param_groups[:] = [group for group, _, _ in groups]
        for (group, content, members), labels in zip(groups, names, strict=True):
            group.clear()
            group.update(content)
            group["params"][:] = members
            if "param_names" in group:
                group["param_names"][:] = labels
        optimizer.state.clear()
        optimizer.state.update(state)

    return put_back
