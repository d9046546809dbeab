"""A grown layer as one plain `torch.fx.GraphModule`: host, kernels and their blending, no Esper.

The layer's own words for what goes in and out (`kernel_input`, `host_output`, `rejoin`) and the one
blending function are run once on symbolic tensors, so that the graph says what the layer does.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph_module import _USER_PRESERVED_ATTRIBUTES_KEY
from torch.fx.proxy import GraphAppendingTracer

from esper.execution.blending import blend
from esper.execution.host_branch import PLACEHOLDERS, STORES
from esper.execution.kasmina_host import named_arguments, plain_class
from esper.execution.kasmina_layer import KasminaLayer

# Hosts whose forward is one functional call of their own weights, in train and eval mode alike.
# Their weights stay where they were, for parents that read them and for `state_dict`.
_INLINED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Embedding,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
)
_HOST = "host"
_ESPER = ("_esper", PLACEHOLDERS)
_STORES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
# Private attributes of a replaced child that torch's own parents read.
_READ_BY_PARENTS = ("_qkv_same_embed_dim",)

Attribute = bool | int | float | str | tuple | None  # type: ignore[type-arg]  # of anything


def compose(layer: KasminaLayer, plain: nn.Module | None = None) -> fx.GraphModule:
    """Return a layer and the kernels that take part at one of its places as a graph of stock modules.

    Args:
        layer: With at least one kernel at work. Its parameters and kernels are taken over, not
            copied.
        plain: For kernels behind a layer that has grown itself: that, as a graph.

    Returns:
        A module with the signature of the host's `forward`, the host's weights where they were
        (hosts that are one functional call) or under `host`, kernels under `kernel_<slot>`, and
        alphas below 1 as buffers `alpha_<slot>`. It takes batched, dense input.

    Raises:
        UnsupportedLayerError: The host's `forward` takes `*args` or `**kwargs`.
    """
    root, graph = nn.Module(), fx.Graph()
    root.train(layer.host.training)
    tracer = GraphAppendingTracer(graph)
    inputs = tuple(
        _placeholder(tracer, parameter) for parameter in named_arguments(layer.host, layer.name)
    )
    if plain is None:
        returned = _blended(layer, root, tracer, inputs)
    else:
        root.add_module(_HOST, plain)
        before = tracer.create_proxy("call_module", _HOST, inputs, {})
        returned = _added_behind(layer, root, tracer, before)
    graph.output(_nodes(returned))
    graph.lint()
    module = fx.GraphModule(root, graph, class_name=f"Grown{plain_class(layer.host).__name__}")
    _keep_attributes(module, layer.host)
    return module


def compose_hook(layer: KasminaLayer) -> fx.GraphModule:
    """Return the kernels at work behind a module as a forward hook of the plain module.

    The module stays what it is, for parents that look into it, and takes any arguments.
    """
    root, graph = nn.Module(), fx.Graph()
    root.train(layer.host.training)
    tracer = GraphAppendingTracer(graph)
    *_, output = (fx.Proxy(graph.placeholder(n), tracer) for n in ("module", "args", "output"))
    graph.output(_nodes(_added_behind(layer, root, tracer, output)))
    graph.lint()
    return fx.GraphModule(root, graph, class_name="GrownBehind")


def _blended(
    layer: KasminaLayer, root: nn.Module, tracer: GraphAppendingTracer, args: tuple[fx.Proxy, ...]
) -> Any:
    # A kernel in an attention layer sees the query; whether key and value are the same tensor is
    # the running layer's check, which a graph with three inputs cannot repeat.
    kind, axis = layer.kind, layer.kind.batch_axis(layer)
    seen = (args[0],) * len(args) if isinstance(layer.host, nn.MultiheadAttention) else args
    x = _batch_first(kind.kernel_input(layer, seen, {}), axis)
    output: Any = None
    base: Any = None
    if not layer.live[0].full:
        output = _host_call(layer, root, tracer, args)
        base = _batch_first(kind.host_output(layer, output), axis)
    blended = _batch_back(_joined(layer, root, tracer, x, base), axis)
    if isinstance(layer.host, nn.LSTM | nn.GRU):
        return _rejoin_recurrent(layer.host, output, blended)
    return kind.rejoin(layer, output, blended)


def _added_behind(
    layer: KasminaLayer, root: nn.Module, tracer: GraphAppendingTracer, before: Any
) -> Any:
    axis = layer.kind.batch_axis(layer)
    x = _batch_first(before, axis)
    return _batch_back(_joined(layer, root, tracer, x, x), axis)


def _joined(
    layer: KasminaLayer, root: nn.Module, tracer: GraphAppendingTracer, x: Any, base: Any
) -> Any:
    """Return `base` with the kernels at work, which read `x`, blended in."""
    for branch in layer.live:
        name = f"kernel_{branch.slot}"
        root.add_module(name, layer.host.get_submodule(f"{layer.store}.{branch.key}"))
        out: Any = tracer.create_proxy("call_module", name, (x,), {})
        if base is None or branch.full:
            base = out
        else:
            alpha = f"alpha_{branch.slot}"
            root.register_buffer(alpha, layer.state.alpha_blend[branch.slot].clone())
            weight: Any = tracer.create_proxy("get_attr", alpha, (), {})
            base = blend(base, out, weight, branch.mode)
    return base


def _batch_back(value: Any, axis: int) -> Any:
    return value.movedim(0, axis) if axis else value


def _batch_first(value: Any, axis: int) -> Any:
    return value.movedim(axis, 0) if axis else value


def _host_call(
    layer: KasminaLayer, root: nn.Module, tracer: GraphAppendingTracer, args: tuple[fx.Proxy, ...]
) -> fx.Proxy:
    host = plain_twin(layer)
    if type(host) not in _INLINED:
        root.add_module(_HOST, host)
        return tracer.create_proxy("call_module", _HOST, args, {})
    for name, parameter in host.named_parameters(recurse=False):
        root.register_parameter(name, parameter)
    traced = fx.symbolic_trace(host).graph
    places = [node for node in traced.nodes if node.op == "placeholder"]
    values = {place: given.node for place, given in zip(places, args, strict=True)}
    returned = tracer.graph.graph_copy(traced, values)
    assert isinstance(returned, fx.Node)
    return fx.Proxy(returned, tracer)


def plain_twin(layer: KasminaLayer) -> nn.Module:
    """Return the layer's host as it was: over the same parameters, without kernels and hooks."""
    plain = plain_class(layer.host)
    host = plain.__new__(plain)
    attributes = {name: value for name, value in vars(layer.host).items() if name not in _ESPER}
    attributes |= {name: attributes[name].copy() for name in _STORES}
    attributes |= {name: OrderedDict() for name in _HOOKS}
    for store in STORES:
        attributes["_modules"].pop(store, None)
    host.__dict__.update(attributes)
    return host


def _rejoin_recurrent(layer: nn.LSTM | nn.GRU, output: Any, blended: Any) -> Any:
    """Do what the recurrent hosts' `rejoin` does, in steps that a graph can hold."""
    time, width = int(layer.batch_first), layer.proj_size or layer.hidden_size
    last = [blended.select(time, -1)[..., :width]]
    if layer.bidirectional:
        last.append(blended.select(time, 0)[..., width:])
    final: Any = torch.stack(last)
    below = len(last) * (layer.num_layers - 1)
    states = None if output is None else output[1]
    if states is None:
        unused = torch.zeros_like(final).repeat(layer.num_layers - 1, 1, 1) if below else None
    else:
        unused = (states[0] if isinstance(layer, nn.LSTM) else states)[:below]
    hidden = torch.cat([unused, final]) if unused is not None else final
    if isinstance(layer, nn.GRU):
        return blended, hidden
    if states is not None:
        return blended, (hidden, states[1])
    cell = torch.zeros_like(hidden)
    if layer.proj_size:
        cell = cell[..., :1].repeat(1, 1, layer.hidden_size)
    return blended, (hidden, cell)


def _placeholder(tracer: GraphAppendingTracer, parameter: inspect.Parameter) -> fx.Proxy:
    node = tracer.graph.placeholder(parameter.name, default_value=parameter.default)
    return fx.Proxy(node, tracer)


def _nodes(value: Any) -> Any:
    if isinstance(value, fx.Proxy):
        return value.node
    if isinstance(value, tuple):
        return tuple(_nodes(item) for item in value)
    return value


def _keep_attributes(module: fx.GraphModule, host: nn.Module) -> None:
    """Carry over what a parent may read of its child: `self_attn.batch_first`, `norm1.eps`, ….

    A dropped host's weights keep their placeholders, for their dtype and device. A parameter that
    is now inside `host` reads as None, which is how torch's own layers say that there is none.
    """
    names = [n for n in vars(host) if not n.startswith("_") and n != "training"]
    kept: dict[str, Any] = dict.fromkeys(host._parameters)
    for name in (*names, *_READ_BY_PARENTS):
        value = getattr(host, name, None)
        if name in vars(host) and isinstance(value, Attribute | Tensor):
            kept[name] = value
    kept = {name: value for name, value in kept.items() if not hasattr(module, name)}
    for name, value in kept.items():
        setattr(module, name, value)
    # The key by which GraphModule's own deepcopy keeps attributes that its graph does not use.
    module.meta[_USER_PRESERVED_ATTRIBUTES_KEY] = kept
