"""A small causal transformer for text, written with plain modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from esper.contracts.errors import ConfigError


class CausalSelfAttention(nn.Module):
    """Multi-head self-attention in which a position sees itself and what came before."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, S, d_model)`` to the same shape."""
        batch, length, width = x.shape
        split = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class TransformerBlock(nn.Module):
    """Attention and a feed-forward net, each beside a shortcut and behind a layer norm."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(d_model)
        self.attention = CausalSelfAttention(d_model, heads)
        self.norm2 = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, 4 * d_model)
        self.down = nn.Linear(4 * d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, S, d_model)`` to the same shape."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.down(functional.gelu(self.up(self.norm2(x))))
        return out


class CausalTransformer(nn.Module):
    """A decoder-only language model (pre-norm, learned positions).

    Args:
        vocabulary: number of tokens.
        context: longest sequence.
        d_model: width; a multiple of ``heads``.
        layers: number of blocks.
        heads: attention heads.

    Raises:
        ConfigError: ``d_model`` is not a multiple of ``heads``.
    """

    def __init__(
        self, vocabulary: int, context: int, *, d_model: int = 64, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        if d_model % heads:
            message = f"d_model {d_model} is not a multiple of heads {heads}: change either"
            raise ConfigError(message)
        self.token = nn.Embedding(vocabulary, d_model)
        self.position = nn.Embedding(context, d_model)
        self.blocks = nn.Sequential(*(TransformerBlock(d_model, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids ``(B, S)`` to logits ``(B, S, vocabulary)``."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        logits: Tensor = self.head(
            self.norm(self.blocks(self.token(ids) + self.position(positions)))
        )
        return logits
