"""An export is a plain model: it runs where Esper cannot be imported, and goes where torch goes."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.contracts.enums import KernelMode
from esper.contracts.errors import UnsupportedLayerError
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.hosts.host_registry import register_host
from support.grown_models import CASES, Encoder, kernel_graph


def grown(
    net: nn.Module,
    inputs: Any,
    layer: str,
    alpha: float = 0.4,
    mode: KernelMode = KernelMode.REPLACING,
    **options: Any,
) -> MorphableModel:
    model = wrap(net, [layer], example_input=inputs, **options)
    add_kernel(model, layer, 0, alpha, mode)
    return model.eval()


def add_kernel(
    model: MorphableModel, layer: str, slot: int, alpha: float, mode: KernelMode
) -> None:
    geometry = model.layer(layer).geometry
    assert geometry is not None
    graph = kernel_graph(geometry)
    model.install_kernel(layer, slot, build(graph, seed=slot), mode=mode, ir=graph)
    model.set_seed_alpha(layer, slot, alpha)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5))


ALONE = """
import sys, torch
sys.modules["esper"] = None  # importing it raises ImportError from here on
model, inputs, expected = torch.load(sys.argv[1], weights_only=False)
with torch.no_grad():
    output = model(*inputs)
assert torch.equal(output, expected), (output - expected).abs().max()
assert not [name for name in sys.modules if name.startswith("esper.")]
print("same")
"""


def test_it_runs_identically_where_esper_cannot_be_imported(tmp_path: Path) -> None:
    parts = nn.Sequential(mlp(), nn.Unflatten(1, (5, 1)), nn.LSTM(1, 4, batch_first=True))
    model = wrap(parts, ["0.0", "0.2", "2"], example_input=torch.zeros(2, 6))
    add_kernel(model, "0.0", 0, 0.4, KernelMode.REPLACING)
    add_kernel(model, "0.0", 1, 0.3, KernelMode.RESIDUAL)
    add_kernel(model, "0.2", 0, 1.0, KernelMode.REPLACING)
    add_kernel(model, "2", 0, 0.5, KernelMode.RESIDUAL)
    model.fossilize("0.2", 0)

    plain = export(model).eval()
    flat = nn.Sequential(plain[0], plain[1])  # type: ignore[index]
    x = torch.randn(3, 6)
    with torch.no_grad():
        expected = flat(x)
        assert torch.equal(plain(x)[0], model.eval()(x)[0])
    torch.save((flat, (x,), expected), tmp_path / "plain.pt")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, str(tmp_path / "plain.pt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("alpha", [0.0, 0.001, 0.5, 1.0])
@pytest.mark.parametrize("mode", list(KernelMode))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_living_seed_is_expressed_with_its_alpha(
    alpha: float, mode: KernelMode, dtype: torch.dtype
) -> None:
    x = torch.randn(3, 6, dtype=dtype)
    model = grown(mlp().to(dtype), x, "0", alpha, mode)
    plain = export(model)
    assert torch.equal(plain(x), model(x))
    full = alpha == 1 and mode is KernelMode.REPLACING
    assert ("0.weight" in plain.state_dict()) == (not full)
    assert ("0.alpha_0" in plain.state_dict()) == (
        alpha > 0 and (alpha < 1 or mode is KernelMode.RESIDUAL)
    )


def test_a_dormant_model_is_exported_as_it_was() -> None:
    net, x = mlp(), torch.randn(3, 6)
    plain = export(wrap(net))
    assert [type(module) for module in plain.modules()] == [type(m) for m in net.modules()]
    assert list(plain.state_dict()) == list(net.state_dict())
    assert torch.equal(plain(x), net(x))


def test_an_export_shares_nothing_with_the_model() -> None:
    model = grown(mlp(), torch.zeros(2, 6), "0")
    before = copy.deepcopy(model.state_dict())
    plain = export(model)
    with torch.no_grad():
        for tensor in (*plain.parameters(), *plain.buffers()):
            tensor.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.morphogenetic_active


def test_a_layer_used_twice_stays_one_layer() -> None:
    shared = nn.Linear(6, 6)
    net = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared, nn.ReLU())})

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = net

        def forward(self, x: Tensor) -> Tensor:
            return self.parts["b"](self.parts["a"](x))

    x = torch.randn(3, 6)
    model = grown(Twice(), x, "parts.a")
    plain = export(model)
    assert plain.parts["a"] is plain.parts["b"][0]  # type: ignore[index]
    assert torch.equal(plain(x), model(x))


def test_a_model_that_is_one_layer_is_exported() -> None:
    x = torch.randn(3, 6)
    model = grown(nn.Linear(6, 8), x, "")
    assert torch.equal(export(model)(x), model(x))


@pytest.mark.parametrize(
    "layer", ["encoder.layers.0.linear1", "encoder.layers.1.self_attn", "encoder.layers.1.norm2"]
)
@pytest.mark.parametrize("fossil", [False, True])
def test_an_encoders_fused_path_does_not_skip_a_kernel(layer: str, fossil: bool) -> None:
    ids = torch.randint(0, 11, (3, 6))
    net = Encoder().eval()
    model = grown(net, {"ids": ids}, layer, 1.0 if fossil else 0.4)
    if fossil:
        model.fossilize(layer, 0)
    plain = export(model)
    with torch.no_grad():
        host, output = net(ids), model(ids)
        assert not torch.allclose(host, output, atol=1e-3)
        assert torch.equal(plain(ids), output)
        assert torch.equal(copy.deepcopy(plain)(ids), output)
        padding = torch.zeros(3, 6, dtype=torch.bool)
        padding[:, 4:] = True
        assert plain(ids, padding).isfinite().all()


def test_attributes_that_parents_read_are_there() -> None:
    model = grown(
        Encoder(), {"ids": torch.zeros(2, 4, dtype=torch.long)}, "encoder.layers.0.linear1"
    )
    model.set_seed_alpha("encoder.layers.0.linear1", 0, 1.0)
    live = export(model).get_submodule("encoder.layers.0.linear1")
    assert (live.in_features, live.out_features) == (8, 16)
    model.fossilize("encoder.layers.0.linear1", 0)
    fossil = export(model).get_submodule("encoder.layers.0.linear1")
    assert fossil.weight.dtype == torch.float32
    assert "weight" not in dict(fossil.named_parameters())


# torch's own exporter calls what torch deprecates.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["MLP", "U-Net", "encoder"])
def test_onnx_computes_the_same(name: str) -> None:
    case = CASES[name]
    inputs = case.inputs()
    model = wrap(case.make(), [case.layer], example_input=inputs)
    add_kernel(model, case.layer, 0, 0.4, KernelMode.REPLACING)
    plain = export(model.eval())
    buffer = io.BytesIO()
    program = torch.onnx.export(plain, tuple(inputs.values()), dynamo=True, verbose=False)
    assert program is not None
    program.save(buffer)
    proto = onnx.load_model_from_string(buffer.getvalue())
    onnx.checker.check_model(proto)
    names = [value.name for value in proto.graph.input]
    feed = dict(zip(names, (value.numpy() for value in inputs.values()), strict=True))
    (output,) = ReferenceEvaluator(proto).run(None, feed)
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(output), model(**inputs), atol=1e-4)


class Loose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] * self.weight


def test_a_host_without_named_arguments_is_refused_by_name() -> None:
    register_host(Loose)
    model = wrap(nn.Sequential(Loose()), [Loose])
    model.install_kernel("0", 0, nn.Linear(6, 6), mode=KernelMode.RESIDUAL)
    model.set_seed_alpha("0", 0, 0.5)
    with pytest.raises(UnsupportedLayerError, match=r"layer '0'.*Loose takes '\*xs"):
        export(model)


class Nosy(nn.Module):
    """A parent that looks into its child, whose arguments have no names."""

    def __init__(self) -> None:
        super().__init__()
        self.child = Loose()

    def forward(self, x: Tensor) -> Tensor:
        return self.child(x) * (2.0 if isinstance(self.child, Loose) else 3.0)


@pytest.mark.parametrize("hooked", [False, True])
def test_a_module_with_kernels_behind_it_stays_what_it_is(hooked: bool) -> None:
    net, x = Nosy(), torch.randn(3, 6)
    if hooked:
        net.child.register_forward_hook(lambda _module, _args, output: output * 5.0)
    model = grown(net, x, "child+", mode=KernelMode.RESIDUAL)
    plain, expected = export(model), model(x)
    assert type(plain.child) is Loose
    assert torch.allclose(plain(x), expected)
    assert set(net.state_dict()) < set(plain.state_dict())
    assert torch.allclose(copy.deepcopy(plain)(x), expected)


def test_an_encoder_reads_its_first_layer_with_kernels_behind_it() -> None:
    net, ids = Encoder().eval(), torch.randint(0, 11, (3, 6))
    padding = torch.zeros(3, 6, dtype=torch.bool)
    padding[0, 4:] = True
    model = grown(
        net, {"ids": ids, "padding": padding}, "encoder.layers.0+", mode=KernelMode.RESIDUAL
    )
    expected = model(ids, padding)
    with torch.no_grad():  # where torch would take its fused path
        assert torch.allclose(export(model).eval()(ids, padding), expected, atol=1e-5)
