from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from esper.blueprints.geometry import Geometry
from esper.contracts.enums import Layout
from esper.contracts.errors import AlphaError, KernelExecutionError, KernelMismatchError
from esper.contracts.lifecycle import SeedPhase
from esper.execution.conversion import convert
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kernel_executor import KernelExecutor
from unit.execution.host_table import CASES, HostCase


class Counting(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, outputs)
        self.calls = 0
        self.broken = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.broken:
            raise RuntimeError("kernel is broken")
        return torch.tanh(self.map(x))


def _layer() -> KasminaLayer:
    return convert(nn.Linear(6, 5), num_seeds=2, name="fc")


def _count_host_calls(layer: KasminaLayer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    plain = nn.functional.linear

    def counted(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if weight is layer.host.weight:
            calls.append(1)
        return plain(x, weight, bias)

    monkeypatch.setattr(nn.functional, "linear", counted)
    return calls


def test_dormant_layer_adds_one_attribute_to_its_instance() -> None:
    plain = nn.Linear(6, 5)
    before = set(vars(plain))
    convert(plain)
    assert set(vars(plain)) - before == {"_esper"}


def test_kernel_is_not_computed_at_alpha_zero_nor_the_host_at_alpha_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, kernel, x = _layer(), Counting(6, 5), torch.randn(4, 6)
    layer.install(0, kernel, mode="replacing")
    hosts = _count_host_calls(layer, monkeypatch)
    layer.host(x)
    assert (kernel.calls, len(hosts)) == (0, 1)
    layer.set_alpha(0, 0.5)
    layer.host(x)
    assert (kernel.calls, len(hosts)) == (1, 2)
    layer.set_alpha(0, 1.0)
    layer.host(x)
    assert (kernel.calls, len(hosts)) == (2, 2)


def test_substitute_takes_part_for_the_duration_and_registers_nothing() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    want, kernel = layer.host(x), Counting(6, 5)
    with layer.substitute(kernel, "replacing"):
        assert torch.equal(layer.host(x), kernel(x))
        assert list(layer.host.state_dict()) == ["weight", "bias"]
        with layer.substitute(kernel, "residual", 0.5):
            assert torch.allclose(layer.host(x), 1.5 * kernel(x))
        assert torch.equal(layer.host(x), kernel(x))
    assert torch.equal(layer.host(x), want)
    assert layer.seed(0).phase is SeedPhase.DORMANT
    assert not layer.live


def test_substitute_ends_when_its_block_raises() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    want = layer.host(x)
    with pytest.raises(ZeroDivisionError), layer.substitute(Counting(6, 5), "replacing"):
        raise ZeroDivisionError
    assert torch.equal(layer.host(x), want)


def test_at_alpha_is_a_counterfactual_that_leaves_the_phase() -> None:
    layer, x, kernel = _layer(), torch.randn(4, 6), Counting(6, 5)
    host = layer.host(x)
    layer.install(0, kernel, mode="replacing")
    with layer.at_alpha(0, 1.0):
        assert torch.equal(layer.host(x), kernel(x))
        assert layer.seed(0).phase is SeedPhase.TRAINING
    assert torch.equal(layer.host(x), host)
    layer.set_alpha(0, 0.5)
    half = layer.host(x)
    with layer.at_alpha(0, 0.0):
        assert torch.equal(layer.host(x), host)
    assert torch.equal(layer.host(x), half)


def test_at_alpha_refuses_an_empty_slot_and_a_fossil_without_host() -> None:
    layer = _layer()
    with pytest.raises(KernelMismatchError, match="is DORMANT"), layer.at_alpha(0, 0.5):
        pass
    layer.install(0, Counting(6, 5), mode="replacing")
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    with pytest.raises(AlphaError, match="its host was dropped"), layer.at_alpha(0, 0.0):
        pass


def test_kernel_of_the_wrong_shape_is_named_where_it_is_called() -> None:
    layer = _layer()
    layer.install(0, nn.Linear(6, 4), mode="replacing")
    layer.set_alpha(0, 0.5)
    with pytest.raises(
        KernelMismatchError, match=r"kernel 0 of layer 'fc' returned shape \(4, 4\)"
    ):
        layer.host(torch.randn(4, 6))


def test_sequence_first_layer_gives_its_kernel_the_batch_first() -> None:
    layer = _layer()
    layer.geometry = Geometry(
        host="linear",
        layout=Layout.TOKENS,
        input_shape=(None, 6),
        output_shape=(None, 5),
        batch_axis=1,
    )
    seen: list[torch.Size] = []
    kernel = Counting(6, 5)
    layer.install(0, kernel, mode="replacing")
    kernel.register_forward_pre_hook(lambda _module, args: seen.append(args[0].shape))
    layer.set_alpha(0, 0.5)
    assert layer.host(torch.randn(7, 3, 6)).shape == (7, 3, 5)
    assert seen == [torch.Size([3, 7, 6])]


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_failing_kernel_is_bypassed_by_the_executor(alpha: float) -> None:
    layer, x, kernel = _layer(), torch.randn(4, 6), Counting(6, 5)
    want = layer.host(x)
    layer.executor = KernelExecutor(2)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, alpha)
    assert not torch.equal(layer.host(x), want)
    kernel.broken = True
    assert torch.equal(layer.host(x), want)
    stats = layer.get_layer_stats()
    assert (stats["total_kernel_executions"], stats["bypassed_executions"]) == (2, 1)


def test_executor_isolates_a_seed_through_the_layer_after_three_failures() -> None:
    layer, x, kernel = _layer(), torch.randn(4, 6), Counting(6, 5)
    want = layer.host(x)
    layer.executor = KernelExecutor(2, on_isolate=layer.on_isolate)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 0.5)
    kernel.broken = True
    for _ in range(5):
        assert torch.equal(layer.host(x), want)
    assert kernel.calls == 3
    assert layer.seed(0).phase is SeedPhase.ERROR_RECOVERY
    kernel.broken = False
    layer.retry(0)
    layer.set_alpha(0, 0.5)
    assert not torch.equal(layer.host(x), want)


def test_layer_with_an_executor_copies_and_pickles() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    layer.executor = KernelExecutor(2, on_isolate=layer.on_isolate)
    layer.install(0, Counting(6, 5), mode="replacing")
    layer.set_alpha(0, 0.5)
    want = layer.host(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other.host(x), want)
        other.seed(0).kernel.broken = True
        for _ in range(3):
            other.host(x)
        assert other.seed(0).phase is SeedPhase.ERROR_RECOVERY
    assert layer.seed(0).phase is SeedPhase.GRAFTING
    assert torch.equal(layer.host(x), want)


def test_failing_residual_fossil_is_bypassed_and_keeps_its_phase() -> None:
    layer, x, kernel = _layer(), torch.randn(4, 6), Counting(6, 5)
    want = layer.host(x)
    layer.executor = KernelExecutor(2, on_isolate=layer.on_isolate)
    layer.install(0, kernel, mode="residual")
    layer.set_alpha(0, 0.5)
    layer.fossilize(0)
    kernel.broken = True
    for _ in range(4):
        assert torch.equal(layer.host(x), want)
    assert (layer.seed(0).phase, layer.seed(0).strikes) == (SeedPhase.FOSSILIZED, 3)


def test_failing_fossil_without_host_raises() -> None:
    layer, kernel = _layer(), Counting(6, 5)
    layer.executor = KernelExecutor(2)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    kernel.broken = True
    with pytest.raises(KernelExecutionError, match="nothing to fall back to"):
        layer.host(torch.randn(4, 6))


def test_kernel_without_executor_raises_its_own_error() -> None:
    layer, kernel = _layer(), Counting(6, 5)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 0.5)
    kernel.broken = True
    with pytest.raises(RuntimeError, match="kernel is broken"):
        layer.host(torch.randn(4, 6))


@pytest.mark.parametrize(
    "case", [c for c in CASES if "lstm" not in c.name and "gru" not in c.name], ids=str
)
def test_compiled_layer_has_no_graph_break_and_a_change_of_alpha_recompiles_nothing(
    case: HostCase,
) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    layer = convert(case.make(), num_seeds=1, name=case.name)
    counter = CompileCounter()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer.host

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return case.main(case.call(self.layer, x)) * 2

    net = Net()
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    x = case.inputs()
    plain = copy.deepcopy(net)
    assert torch.allclose(compiled(x), plain(x), atol=1e-6)
    layer.install(0, case.kernel(), mode="replacing")
    compiled(x)
    assert counter.frame_count == 1
    outputs = []
    for alpha in (0.1, 0.3, 0.8):
        layer.set_alpha(0, alpha)
        outputs.append(compiled(x))
        assert torch.allclose(outputs[-1], net(x), atol=1e-5)
    assert counter.frame_count == 2
    assert not torch.allclose(outputs[0], outputs[1])
    layer.set_alpha(0, 1.0)
    assert torch.allclose(compiled(x), net(x), atol=1e-6)
    layer.cull(0)
    compiled(x)
    assert counter.frame_count == 3


@pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning"
)  # dynamo itself
def test_compiled_layer_with_an_executor_has_no_graph_break() -> None:
    torch._dynamo.reset()
    layer = _layer()
    layer.executor = KernelExecutor(2)
    layer.install(0, nn.Sequential(nn.Linear(6, 5), nn.Tanh()), mode="replacing")
    layer.set_alpha(0, 0.5)
    counter = CompileCounter()
    compiled = torch.compile(layer.host, backend=counter, fullgraph=True)
    x = torch.randn(4, 6)
    for alpha in (0.5, 0.7):
        layer.set_alpha(0, alpha)
        assert torch.allclose(compiled(x), layer.host(x), atol=1e-6)
    assert counter.frame_count == 1


def test_tied_weights_stay_tied() -> None:
    embed, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    head.weight = embed.weight
    convert(embed)
    convert(head)
    assert head.weight is embed.weight
    both = copy.deepcopy(nn.ModuleList([embed, head]))
    assert both[0].weight is both[1].weight


def test_stats_are_plain_values() -> None:
    layer = _layer()
    layer.install(0, Counting(6, 5), mode="residual", label="mlp")
    stats = layer.get_layer_stats()
    assert (stats["layer_name"], stats["total_seeds"], stats["active_seeds"]) == ("fc", 2, 1)
    assert stats["kernel_parameters"] == 35
    assert stats["seeds"][0]["phase"] == "TRAINING"
