"""Layers that cannot host because someone reads their weights past their `forward`.

A kernel takes effect where the layer is called. `nn.MultiheadAttention` never calls its `out_proj`:
it reads `out_proj.weight`. Such reads are found in the source of the parent's class: `self.child.weight`
or `.bias`, other than for its dtype, device or shape.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import lru_cache

from torch import nn

_TENSORS = ("weight", "bias")
_HARMLESS = ("dtype", "device", "shape", "ndim", "size", "dim", "numel", "is_cuda")

_EVADED = (nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""Read their children's weights for a fused path that a live KasminaLayer keeps them off, or that
hands over nested tensors, which it can take."""


def readable_only(model: nn.Module) -> dict[str, str]:
    """Return the layers of `model` that cannot host seeds because of where they stand.

    Only what the parent's Python source shows is found: a weight that is passed on through a
    variable, or read by a class without source, is not.

    Returns:
        Qualified name to the reason, in the order of `named_modules`.
    """
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, _EVADED):
            continue
        prefix = f"{name}." if name else ""
        kind = type(module)
        for child, attribute in _reads(kind):
            if isinstance(getattr(module, child, None), nn.Module):
                reason = (
                    f"{kind.__name__} reads {child}.{attribute} itself, past the layer's "
                    f"forward, so a kernel in '{prefix}{child}' would be skipped there"
                )
                found.setdefault(prefix + child, reason)
    return found


def _reads(kind: type) -> tuple[tuple[str, str], ...]:
    """Return (child, attribute) for each weight of a child that methods of `kind` compute with."""
    ancestors = kind.__mro__[: kind.__mro__.index(nn.Module)]
    found = {read for ancestor in ancestors for read in _reads_of_class(ancestor)}
    return tuple(sorted(found, reverse=True))  # weights before biases


# Finding a class parses its whole file, and a model has many layers of few classes.
@lru_cache(maxsize=1024)
def _reads_of_class(kind: type) -> frozenset[tuple[str, str]]:
    """Return what the methods in the body of one class read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return frozenset()
    return frozenset(
        read
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef) and not _prepares(method.name)
        for read in _reads_in(method)
    )


def _prepares(name: str) -> bool:
    """Whether a method is about making or initialising the module, where reads do no harm."""
    return name == "__init__" or any(word in name for word in ("init", "reset", "load", "tie"))


def _reads_in(method: ast.FunctionDef) -> list[tuple[str, str]]:
    harmless = {
        id(node.value)
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and node.attr in _HARMLESS
    }
    return [
        (node.value.attr, node.attr)
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and node.attr in _TENSORS
        and isinstance(node.ctx, ast.Load)
        and id(node) not in harmless
        and isinstance(node.value, ast.Attribute)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id == "self"
    ]
