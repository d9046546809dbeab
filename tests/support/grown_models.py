"""The models that Esper is to work with, small, each with an example batch and a layer to grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode, Layout

BATCH = 3


@dataclass(frozen=True)
class Case:
    """A model, how to call it, and the layer that grows in the test."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], dict[str, Tensor]]
    layer: str
    targets: tuple[type[nn.Module] | str, ...] = (nn.Linear,)

    @property
    def modes(self) -> tuple[KernelMode, ...]:
        """How a kernel may stand there, the more demanding way first."""
        behind = self.layer.endswith("+")
        return (KernelMode.RESIDUAL,) if behind else (KernelMode.REPLACING, KernelMode.RESIDUAL)


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(x + self.norm2(self.conv2(inner)))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.Sequential(ResidualBlock(4), ResidualBlock(4))
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.bottom = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        high = functional.relu(self.down(x))
        low = functional.relu(self.bottom(functional.max_pool2d(high, 2)))
        return self.out(torch.cat([high, self.up(low)], 1))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 5)

    def forward(self, ids: Tensor, padding: Tensor | None = None) -> Tensor:
        hidden = self.encoder(self.embed(ids), src_key_padding_mask=padding)
        return self.head(hidden.mean(1))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, 2)

    def forward(self, target: Tensor, memory: Tensor) -> Tensor:
        return self.decoder(target, memory)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU], **options: Any) -> None:
        super().__init__()
        self.rnn = kind(6, 8, **options)
        self.head = nn.Linear(8 * (2 if options.get("bidirectional") else 1), 5)
        self.batch_first = bool(options.get("batch_first"))

    def forward(self, x: Tensor) -> Tensor:
        output, final = self.rnn(x)
        hidden = final[0] if isinstance(final, tuple) else final
        return self.head(output.mean(1 if self.batch_first else 0)) + hidden[-1].sum(-1, True)


class GraphNetwork(nn.Module):
    """Two rounds of mean aggregation over a dense adjacency."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        weights = adjacency / adjacency.sum(-1, True).clamp(min=1)
        hidden = functional.relu(self.first(weights @ nodes))
        return self.head(functional.relu(self.second(weights @ hidden)).mean(1))


def _transformer() -> nn.Module:
    return nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)


def _ids(size: int = 11, length: int = 6) -> Tensor:
    return torch.randint(0, size, (BATCH, length))


def _bert() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForSequenceClassification(config)


def _gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        vocab_size=11,
        n_positions=16,
        n_embd=8,
        n_layer=1,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config)


def _llama() -> nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=16,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config)


def _vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.ViTForImageClassification(config)


def _t5() -> nn.Module:
    config = transformers.T5Config(
        vocab_size=11,
        d_model=8,
        d_kv=4,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        use_cache=False,
        decoder_start_token_id=0,
    )
    return transformers.T5ForConditionalGeneration(config)


def _signal(*shape: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"x": torch.randn(BATCH, *shape)}


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))


CASES: Mapping[str, Case] = {
    "MLP": Case(_mlp, lambda: {"input": torch.randn(BATCH, 6)}, "0"),
    "ResNet": Case(ResNet, _signal(1, 8, 8), "blocks.1.conv1", (nn.Linear, nn.Conv2d)),
    "behind a ResNet block": Case(ResNet, _signal(1, 8, 8), "blocks.1+", ("blocks.1+",)),
    "behind a ReLU": Case(_mlp, lambda: {"input": torch.randn(BATCH, 6)}, "1+", (nn.Linear, "1+")),
    "behind an encoder layer": Case(
        Encoder, lambda: {"ids": _ids()}, "encoder.layers.1+", (nn.Linear, "encoder.layers.1+")
    ),
    "behind GPT-2's norm": Case(
        _gpt2, lambda: {"input_ids": _ids()}, "transformer.h.0.ln_1+", ("transformer.h.0.ln_1+",)
    ),
    "behind a GPT-2 block": Case(
        _gpt2, lambda: {"input_ids": _ids()}, "transformer.h.0+", ("transformer.h.*+",)
    ),
    "behind a BERT block": Case(
        _bert, lambda: {"input_ids": _ids()}, "bert.encoder.layer.0+", ("bert.encoder.layer.*+",)
    ),
    "behind a whole model": Case(ResNet, _signal(1, 8, 8), "+", ("+",)),
    "ResNet norm": Case(ResNet, _signal(1, 8, 8), "blocks.0.norm1", (nn.BatchNorm2d,)),
    "U-Net": Case(UNet, _signal(1, 8, 8), "bottom", (nn.Conv2d,)),
    "encoder": Case(Encoder, lambda: {"ids": _ids()}, "encoder.layers.0.linear1"),
    "encoder attention": Case(
        Encoder,
        lambda: {"ids": _ids()},
        "encoder.layers.1.self_attn",
        (nn.MultiheadAttention,),
    ),
    "encoder norm": Case(
        Encoder, lambda: {"ids": _ids()}, "encoder.layers.0.norm1", (nn.LayerNorm,)
    ),
    "encoder embedding": Case(Encoder, lambda: {"ids": _ids()}, "embed", (nn.Embedding,)),
    "decoder": Case(
        Decoder,
        lambda: {"target": torch.randn(BATCH, 4, 8), "memory": torch.randn(BATCH, 6, 8)},
        "decoder.layers.1.linear2",
    ),
    "transformer": Case(
        _transformer,
        lambda: {"src": torch.randn(BATCH, 6, 8), "tgt": torch.randn(BATCH, 4, 8)},
        "decoder.layers.0.linear1",
    ),
    "LSTM": Case(
        lambda: Recurrent(nn.LSTM, batch_first=True), _signal(7, 6), "rnn", (nn.LSTM, nn.Linear)
    ),
    "LSTM deep": Case(
        lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True),
        lambda: {"x": torch.randn(7, BATCH, 6)},
        "rnn",
        (nn.LSTM,),
    ),
    "GRU": Case(lambda: Recurrent(nn.GRU, batch_first=True), _signal(7, 6), "rnn", (nn.GRU,)),
    "graph network": Case(
        GraphNetwork,
        lambda: {
            "nodes": torch.randn(BATCH, 5, 6),
            "adjacency": (torch.rand(BATCH, 5, 5) > 0.5).float(),
        },
        "second",
    ),
    "BERT": Case(_bert, lambda: {"input_ids": _ids()}, "bert.encoder.layer.0.intermediate.dense"),
    "GPT-2": Case(_gpt2, lambda: {"input_ids": _ids()}, "lm_head"),
    "LLaMA": Case(_llama, lambda: {"input_ids": _ids()}, "model.layers.0.mlp.up_proj"),
    "ViT": Case(
        _vit,
        lambda: {"pixel_values": torch.randn(BATCH, 1, 8, 8)},
        "vit.layers.0.mlp.fc1",
    ),
    "T5": Case(
        _t5,
        lambda: {"input_ids": _ids(), "decoder_input_ids": _ids(length=4)},
        "encoder.block.0.layer.1.DenseReluDense.wi",
    ),
}


def loss_of(output: Any) -> Tensor:
    """A loss over whatever a model returns."""
    tensor = output if isinstance(output, Tensor) else first_tensor(output)
    return (tensor.float() ** 2).mean()


def first_tensor(output: Any) -> Tensor:
    """The tensor that a model's output is about."""
    if isinstance(output, Tensor):
        return output
    return output.logits if hasattr(output, "logits") else output[0]


def kernel_graph(geometry: Geometry) -> GraphIR:
    """A small kernel of two layers that fits a geometry and changes the layer's output."""
    if geometry.layout is Layout.IDS:
        graph = GraphBuilder(geometry.input_shape, "int64")
        width = geometry.output_shape[-1]
        inner = graph.add("embedding", "x", num_embeddings=geometry.vocabulary, embedding_dim=3)
        return graph.finish(graph.add("linear", inner, out_features=width))
    graph = GraphBuilder(geometry.input_shape)
    if geometry.layout is Layout.CHANNELS_2D:
        inner = graph.add("conv2d", "x", out_channels=3, kernel_size=(3, 3), padding=(1, 1))
        inner = graph.add("batch_norm2d", inner)
        inner = graph.add("relu", inner)
        return graph.finish(
            graph.add("conv2d", inner, out_channels=geometry.output_shape[0], kernel_size=(1, 1))
        )
    inner = graph.add("gelu", graph.add("linear", "x", out_features=3))
    return graph.finish(graph.add("linear", inner, out_features=geometry.output_shape[-1]))
