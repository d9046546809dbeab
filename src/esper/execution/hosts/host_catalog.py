"""All host types that come with Esper: importing this file registers them."""

from __future__ import annotations

from esper.execution.hosts.attention import KasminaMultiheadAttention
from esper.execution.hosts.conv import KasminaConv1d, KasminaConv2d
from esper.execution.hosts.embedding import KasminaEmbedding
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.hosts.linear import KasminaLinear
from esper.execution.hosts.norm import (
    KasminaBatchNorm1d,
    KasminaBatchNorm2d,
    KasminaGroupNorm,
    KasminaLayerNorm,
    KasminaRMSNorm,
)
from esper.execution.hosts.recurrent import KasminaGRU, KasminaLSTM

__all__ = [
    "HOSTS",
    "KasminaBatchNorm1d",
    "KasminaBatchNorm2d",
    "KasminaConv1d",
    "KasminaConv2d",
    "KasminaEmbedding",
    "KasminaGRU",
    "KasminaGroupNorm",
    "KasminaLSTM",
    "KasminaLayerNorm",
    "KasminaLinear",
    "KasminaMultiheadAttention",
    "KasminaRMSNorm",
]
