"""What holds for every host type, one row of `host_table.CASES` at a time."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from esper.execution.conversion import convert, restore
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer
from unit.execution.host_table import CASES, HostCase, flatten

# Both come from torch and are the same for the plain layer.
pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:The tensor attributes? self._flat_weights"),
]

every_host = pytest.mark.parametrize("case", CASES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
every_flag = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def _pair(case: HostCase, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, KasminaLayer]:
    torch.manual_seed(0)
    plain = case.make().to(dtype)
    return plain, convert(copy.deepcopy(plain), num_seeds=2, name="host")


def _batch(case: HostCase, dtype: torch.dtype = torch.float32) -> Tensor:
    torch.manual_seed(1)
    x = case.inputs()
    return x.to(dtype).requires_grad_() if x.is_floating_point() else x


def _same(left: Any, right: Any) -> bool:
    pairs = list(zip(flatten(left), flatten(right), strict=True))
    return bool(pairs) and all(torch.equal(a, b) for a, b in pairs)


def _dormant(layer: KasminaLayer, case: HostCase) -> None:
    pass


def _at_alpha_zero(layer: KasminaLayer, case: HostCase) -> None:
    layer.install(0, case.kernel(), mode="replacing")


def _culled(layer: KasminaLayer, case: HostCase) -> None:
    layer.install(0, case.kernel(), mode="residual")
    layer.set_alpha(0, 0.7)
    with torch.no_grad():
        case.call(layer.host.eval(), _batch(case, next(layer.host.parameters()).dtype))
    layer.host.train()
    layer.cull(0)


every_rest = pytest.mark.parametrize("prepare", [_dormant, _at_alpha_zero, _culled])


def test_every_registered_host_type_has_a_row_in_the_table() -> None:
    stock = {kind for kind in HOSTS if kind.__module__.startswith("torch.nn")}
    assert {type(case.make()) for case in CASES} == stock


@every_host
@every_dtype
@every_flag
@every_rest
def test_resting_layer_gives_bit_identical_outputs_and_gradients(
    case: HostCase, dtype: torch.dtype, training: bool, prepare: Callable[..., None]
) -> None:
    plain, layer = _pair(case, dtype)
    prepare(layer, case)
    plain.train(training)
    layer.host.train(training)
    x, y = _batch(case, dtype), _batch(case, dtype)
    want, got = case.call(plain, x), case.call(layer.host, y)
    assert _same(want, got)
    for output in (want, got):
        sum(
            part.float().square().sum() for part in flatten(output) if part.requires_grad
        ).backward()
    for name, parameter in plain.named_parameters():
        assert _same(parameter.grad, layer.host.get_parameter(name).grad), name
    if x.requires_grad:
        assert torch.equal(x.grad, y.grad)


@every_host
@every_rest
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_resting_layer_follows_the_plain_trajectory_bit_for_bit(
    case: HostCase, prepare: Callable[..., None], optimizer: type[torch.optim.Optimizer]
) -> None:
    plain, layer = _pair(case)
    prepare(layer, case)
    states = []
    for model in (plain, layer.host):
        names = [name for name, _ in plain.named_parameters()]
        steps = optimizer([model.get_parameter(name) for name in names], lr=0.01)
        torch.manual_seed(2)
        for _ in range(5):
            steps.zero_grad()
            case.main(case.call(model, case.inputs())).square().mean().backward()
            steps.step()
        states.append({name: model.state_dict()[name] for name in plain.state_dict()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@every_host
def test_conversion_keeps_object_names_and_parameters(case: HostCase) -> None:
    plain = case.make()
    parameters = dict(plain.named_parameters())
    keys, kind = list(plain.state_dict()), type(plain)
    layer = convert(plain, name="host")
    assert layer.host is plain
    assert isinstance(plain, kind)
    assert all(layer.host.get_parameter(name) is parameters[name] for name in parameters)
    assert list(layer.host.state_dict()) == keys
    assert restore(layer.host) is plain
    assert type(plain) is kind


@every_host
@every_dtype
def test_alpha_one_is_bit_exactly_the_kernel(case: HostCase, dtype: torch.dtype) -> None:
    _, layer = _pair(case, dtype)
    kernel = case.kernel()
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 1.0)
    x = _batch(case, dtype)
    got = case.main(case.call(layer.host, x))
    assert torch.equal(got, case.to_kernel(kernel(case.to_kernel(x))))


@every_host
def test_blend_lies_between_host_and_kernel(case: HostCase) -> None:
    plain, layer = _pair(case)
    kernel = case.kernel()
    x = _batch(case)
    own = case.to_kernel(kernel(case.to_kernel(x)))
    host = case.main(case.call(plain, x))
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 0.25)
    assert torch.allclose(
        case.main(case.call(layer.host, x)), host + 0.25 * (own - host), atol=1e-5
    )
    layer.cull(0)
    layer.install(1, kernel, mode="residual")
    layer.set_alpha(1, 0.5)
    assert torch.allclose(case.main(case.call(layer.host, x)), host + 0.5 * own, atol=1e-5)


@every_host
def test_kernel_learns_while_it_is_blended_in(case: HostCase) -> None:
    _, layer = _pair(case)
    kernel = case.kernel()
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 0.5)
    case.main(case.call(layer.host, _batch(case))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in kernel.parameters())
    names = {
        name for name, _ in layer.host.named_parameters() if name.startswith("esper_kernels.0.")
    }
    assert len(names) == len(list(kernel.parameters()))


@every_host
def test_replacing_fossil_drops_the_host_and_keeps_its_attributes(case: HostCase) -> None:
    plain, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, 1.0)
    x = _batch(case)
    before = case.main(case.call(layer.host, x))
    layer.fossilize(0)
    assert layer.host_dropped
    assert all(name.startswith("esper_kernels.0.") for name in layer.host.state_dict())
    assert all(name.startswith("esper_kernels.0.") for name, _ in layer.host.named_parameters())
    assert torch.equal(case.main(case.call(layer.host, x)), before)
    for name in type(plain).__constants__ if hasattr(type(plain), "__constants__") else ():
        assert getattr(layer.host, name) == getattr(plain, name)
    for name, tensor in plain.state_dict().items():
        left = torch.nn.Module.__getattribute__(layer.host, name) if "." not in name else None
        assert left is None or (left.shape, left.dtype) == (tensor.shape, tensor.dtype)
    layer.host.to(torch.bfloat16)
    assert case.main(case.call(layer.host, _batch(case, torch.bfloat16))).dtype is torch.bfloat16


@every_host
def test_residual_fossil_stays_beside_the_host(case: HostCase) -> None:
    plain, layer = _pair(case)
    layer.install(0, case.kernel(), mode="residual")
    layer.set_alpha(0, 0.5)
    x = _batch(case)
    before = case.main(case.call(layer.host, x))
    layer.fossilize(0)
    assert not layer.host_dropped
    assert torch.equal(case.main(case.call(layer.host, x)), before)
    assert set(plain.state_dict()) < set(layer.host.state_dict())


@every_host
def test_culled_seed_leaves_nothing_behind(case: HostCase) -> None:
    plain, layer = _pair(case)
    attributes = set(vars(layer.host))
    _culled(layer, case)
    assert list(layer.host.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in layer.host.named_modules()] == [n for n, _ in plain.named_modules()]
    assert set(vars(layer.host)) == attributes
    assert not layer.host._forward_hooks
    restore(layer.host)
    assert _same(case.call(plain.eval(), _batch(case)), case.call(layer.host.eval(), _batch(case)))


@every_host
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_copies_and_pickles_compute_the_same_and_are_independent(
    case: HostCase, alpha: float
) -> None:
    _, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, alpha)
    layer.host.eval()
    x = _batch(case)
    want = case.call(layer.host, x)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    copies.append(torch.load(file, weights_only=False))
    layer.cull(0)
    for other in copies:
        assert type(other.host) is type(layer.host)
        assert other.host is not layer.host
        assert _same(case.call(other.host, x), want)
        assert other.seed(0).kernel is other.host.esper_kernels["0"]
        assert other.seed(0).alpha == alpha
        other.cull(0)
        assert _same(case.call(other.host, x), case.call(layer.host, x))


@every_host
def test_fossil_survives_copies_and_pickles(case: HostCase) -> None:
    _, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    x = _batch(case)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert _same(case.call(other.host.eval(), x), case.call(layer.host.eval(), x))
        assert list(other.host.state_dict()) == list(layer.host.state_dict())


@every_host
def test_functional_call_swaps_host_and_kernel_weights(case: HostCase) -> None:
    _, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, 0.5)
    layer.host.eval()
    other = copy.deepcopy(layer).host
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    x = _batch(case)
    args = (x, x, x) if isinstance(layer.host, nn.MultiheadAttention) else (x,)
    weights = dict(other.named_parameters())
    got = torch.func.functional_call(layer.host, weights, args)
    assert torch.allclose(case.main(got), case.main(case.call(other, x)), atol=1e-6)


@every_host
def test_replica_computes_with_its_own_weights(case: HostCase) -> None:
    _, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, 1.0)
    layer.host.eval()
    x = _batch(case)
    want = case.main(case.call(layer.host, x)).detach()
    replica = _replicate(layer.host)
    with torch.no_grad():
        for parameter in layer.host.parameters():
            parameter.zero_()
    assert torch.allclose(case.main(case.call(replica, x)), want, atol=1e-6)


def _replicate(network: nn.Module) -> nn.Module:
    """Do on the CPU what `nn.parallel.replicate` does for one device."""
    modules = list(network.modules())
    made = [module._replicate_for_data_parallel() for module in modules]
    for module, replica in zip(modules, made, strict=True):
        for name, child in module._modules.items():
            setattr(replica, name, made[modules.index(child)])
        for name, parameter in module._parameters.items():
            value = None if parameter is None else parameter.detach().clone()
            if value is None:
                replica._parameters[name] = None
            else:
                setattr(replica, name, value)
        for name, buffer in module._buffers.items():
            setattr(replica, name, None if buffer is None else buffer.clone())
    return made[0]


@every_host
def test_autocast_blends_without_an_error_and_trains_the_kernel(case: HostCase) -> None:
    _, layer = _pair(case)
    kernel = case.kernel()
    layer.install(0, kernel, mode="replacing")
    for alpha in (0.5, 1.0):
        layer.set_alpha(0, alpha)
        with torch.autocast("cpu", torch.bfloat16):
            loss = case.main(case.call(layer.host, _batch(case))).float().square().mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in kernel.parameters())


@every_host
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_layer_exports(case: HostCase, alpha: float) -> None:
    _, layer = _pair(case)
    layer.install(0, case.kernel(), mode="replacing")
    layer.set_alpha(0, alpha)
    layer.host.eval()
    x = _batch(case).detach()
    args = (x, x, x) if isinstance(layer.host, nn.MultiheadAttention) else (x,)
    program = torch.export.export(layer.host, args)
    got, want = program.module()(*args), case.call(layer.host, x)
    assert torch.allclose(case.main(got), case.main(want), atol=1e-5)
