"""All host types that come with Esper: importing this file registers them."""

from __future__ import annotations

from esper.execution.hosts.attention import KasminaMultiheadAttention
from esper.execution.hosts.conv import KasminaConv1d
from esper.execution.hosts.conv import KasminaConv2d
from esper.execution.hosts.embedding import KasminaEmbedding
from esper.execution.hosts.linear import KasminaLinear
from esper.execution.hosts.norm import KasminaBatchNorm1d
from esper.execution.hosts.norm import KasminaBatchNorm2d
from esper.execution.hosts.norm import KasminaGroupNorm
from esper.execution.hosts.norm import KasminaLayerNorm
from esper.execution.hosts.norm import KasminaRMSNorm
from esper.execution.hosts.recurrent import KasminaGRU
from esper.execution.hosts.recurrent import KasminaLSTM
from esper.execution.hosts.registry import HOSTS

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
