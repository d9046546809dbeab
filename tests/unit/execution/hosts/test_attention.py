from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from esper.blueprints.geometry import Geometry
from esper.contracts.enums import Layout
from esper.contracts.errors import KernelMismatchError
from esper.execution.conversion import convert
from esper.execution.kasmina_layer import KasminaLayer


def _layer(alpha: float, **options: bool) -> KasminaLayer:
    layer = convert(nn.MultiheadAttention(6, 2, batch_first=True), name="sa")
    layer.install(0, nn.Linear(6, 6), mode="replacing")
    layer.set_alpha(0, alpha)
    return layer


def test_attention_weights_of_the_host_are_returned_while_it_is_computed() -> None:
    x = torch.randn(2, 5, 6)
    blended = _layer(0.5).host(x, x, x)
    assert blended[0].shape == (2, 5, 6)
    assert blended[1].shape == (2, 5, 5)
    assert _layer(1.0).host(x, x, x)[1] is None
    assert _layer(0.5).host(x, x, x, need_weights=False)[1] is None


def test_arguments_by_name_and_single_samples_are_taken() -> None:
    x, layer = torch.randn(5, 6), _layer(1.0)
    assert torch.allclose(layer.host(query=x, key=x, value=x)[0], layer.seed(0).kernel(x))


def test_cross_attention_with_a_live_kernel_is_refused() -> None:
    x, memory = torch.randn(2, 5, 6), torch.randn(2, 4, 6)
    layer = _layer(0.5)
    with pytest.raises(KernelMismatchError, match=r"'sa' .* see the query only"):
        layer.host(x, memory, memory)
    layer.cull(0)
    assert layer.host(x, memory, memory)[0].shape == (2, 5, 6)


def test_cross_attention_is_taken_if_the_geometry_says_so() -> None:
    x, memory = torch.randn(2, 5, 6), torch.randn(2, 4, 6)
    layer = _layer(0.5)
    layer.geometry = Geometry(
        host="multihead_attention",
        layout=Layout.TOKENS,
        input_shape=(None, 6),
        output_shape=(None, 6),
        host_attributes={"self_attention": False},
    )
    assert layer.host(x, memory, memory)[0].shape == (2, 5, 6)


# The encoder --------------------------------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, outputs)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.map(x)


def _encoder() -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2)


PADDING = torch.tensor([[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1]]).bool()
PLACES = [("layers.0.linear1", 16), ("layers.0.norm1", 8), ("layers.1.self_attn", 8)]

every_place = pytest.mark.parametrize(("name", "width"), PLACES)
every_padding = pytest.mark.parametrize("padding", [None, PADDING], ids=["dense", "nested"])
# torch's own words about the nested tensors that the stock encoder makes.
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


@every_place
@every_padding
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_no_fused_path_skips_a_live_kernel(
    name: str, width: int, padding: torch.Tensor | None, grad: bool, training: bool
) -> None:
    plain = _encoder().train(training)
    model = copy.deepcopy(plain)
    layer = convert(model.get_submodule(name), name=name)
    x = torch.randn(3, 5, 8)
    with torch.set_grad_enabled(grad):
        want = plain(x, src_key_padding_mask=padding)
        assert torch.equal(model(x, src_key_padding_mask=padding), want)
        kernel = Counting(8, width)
        layer.install(0, kernel, mode="replacing")
        assert torch.equal(model(x, src_key_padding_mask=padding), want)
        for calls, alpha in enumerate((0.5, 1.0), start=1):
            layer.set_alpha(0, alpha)
            got = model(x, src_key_padding_mask=padding)
            assert kernel.calls == calls
            kept = slice(None) if padding is None else ~padding
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                slow = model(x, src_key_padding_mask=padding)
            finally:
                torch.backends.mha.set_fastpath_enabled(True)
            assert torch.allclose(got[kept], slow[kept], atol=1e-5)
            assert not torch.allclose(got[kept], want[kept], atol=1e-3)
            kernel.calls = calls
        layer.cull(0)
        assert torch.equal(model(x, src_key_padding_mask=padding), want)


@every_place
@every_padding
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
def test_encoder_works_after_a_fossil_took_a_layers_place(
    name: str, width: int, padding: torch.Tensor | None, grad: bool
) -> None:
    model = _encoder().eval()
    layer = convert(model.get_submodule(name), name=name)
    layer.install(0, nn.Sequential(nn.Linear(8, width), nn.Tanh()), mode="replacing")
    layer.set_alpha(0, 1.0)
    x = torch.randn(3, 5, 8)
    with torch.set_grad_enabled(grad):
        before = model(x, src_key_padding_mask=padding)
        layer.fossilize(0)
        after = model(x, src_key_padding_mask=padding)
    kept = slice(None) if padding is None else ~padding
    assert torch.allclose(after[kept], before[kept], atol=1e-5)
