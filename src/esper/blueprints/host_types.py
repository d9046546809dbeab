"""What each supported layer type is called, and the constructor arguments that describe it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from esper.utils.registry import Registry

Attributes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HostType:
    """A layer type that can be described.

    Args:
        host: Its name in geometries, such as "linear".
        attributes: Reads the constructor arguments off a layer.
    """

    host: str
    attributes: Callable[[Any], Attributes]


HOST_TYPES: Registry[type, HostType] = Registry("host layer type")
"""Descriptions by layer type, looked up along the MRO; a user's own type adds itself here."""


def _reader(*names: str, flags: tuple[str, ...] = ()) -> Callable[[Any], Attributes]:
    """Return a reader of plain attributes, and of flags that are true where a tensor is there."""

    def read(layer: Any) -> Attributes:
        found = {name: getattr(layer, name) for name in names}
        return found | {flag: getattr(layer, flag, None) is not None for flag in flags}

    return read


def _attention(layer: Any) -> Attributes:
    names = ("embed_dim", "num_heads", "kdim", "vdim", "dropout", "batch_first")
    found = {name: getattr(layer, name) for name in names}
    same = layer.kdim == layer.vdim == layer.embed_dim
    return found | {"bias": layer.in_proj_bias is not None, "self_attention": same}


_convolution = _reader(
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
    flags=("bias",),
)
_batch_norm = _reader("num_features", "eps", "momentum", "affine", "track_running_stats")
_recurrent = ("input_size", "hidden_size", "num_layers", "bias", "dropout", "bidirectional")

for _kind, _host, _read in (
    (nn.Linear, "linear", _reader("in_features", "out_features", flags=("bias",))),
    (nn.Conv1d, "conv1d", _convolution),
    (nn.Conv2d, "conv2d", _convolution),
    (nn.MultiheadAttention, "multihead_attention", _attention),
    (
        nn.LayerNorm,
        "layer_norm",
        _reader("normalized_shape", "eps", "elementwise_affine", flags=("bias",)),
    ),
    (nn.RMSNorm, "rms_norm", _reader("normalized_shape", "eps", "elementwise_affine")),
    (nn.GroupNorm, "group_norm", _reader("num_groups", "num_channels", "eps", "affine")),
    (nn.BatchNorm1d, "batch_norm1d", _batch_norm),
    (nn.BatchNorm2d, "batch_norm2d", _batch_norm),
    (
        nn.Embedding,
        "embedding",
        _reader("num_embeddings", "embedding_dim", "padding_idx", "max_norm"),
    ),
    (nn.LSTM, "lstm", _reader(*_recurrent, "batch_first", "proj_size")),
    (nn.GRU, "gru", _reader(*_recurrent, "batch_first")),
):
    HOST_TYPES.add(_kind, HostType(host=_host, attributes=_read))
