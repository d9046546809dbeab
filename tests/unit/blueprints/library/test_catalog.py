from __future__ import annotations

import copy
import math
import pickle
from functools import cache

import pytest
import torch
from torch import fx

from esper.blueprints.build import build
from esper.blueprints.flops import measured_flops
from esper.blueprints.geometry import Geometry
from esper.blueprints.graph_weights import state_weights
from esper.blueprints.library.catalog import (
    Candidate,
    candidates,
    catalog_table,
    control,
    families,
)
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.errors import GeometryError, RegistryError
from support.places import PLACES, find_layer, geometry_at

BATCH = 5
# PyTorch's own remark on the host; its control pads by itself.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@cache
def offers(description: str) -> tuple[Geometry, list[Candidate]]:
    geometry = geometry_at(description)
    return geometry, [control(geometry), *candidates(geometry)]


@cache
def built(description: str) -> list[tuple[Candidate, fx.GraphModule]]:
    """The kernels of a place, for tests that leave them as they are."""
    return [(entry, build(entry.ir, seed=0)) for entry in offers(description)[1]]


def batch(geometry: Geometry) -> torch.Tensor:
    shape = (BATCH, *geometry.cost_shape)
    generator = torch.Generator().manual_seed(3)
    if geometry.layout is Layout.IDS:
        return torch.randint(1, geometry.vocabulary or 2, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def gradients_in_two_steps(kernel: fx.GraphModule, x: torch.Tensor) -> set[str]:
    """Train two steps on a fixed target; return the parameters that ever had a gradient."""
    seen = set()
    generator = torch.Generator().manual_seed(4)
    target = torch.randn(kernel(x).shape, generator=generator)
    for _ in range(2):
        kernel.zero_grad()
        (kernel(x) - target).square().mean().backward()
        with torch.no_grad():
            for name, parameter in kernel.named_parameters():
                if parameter.grad is not None and parameter.grad.ne(0).any():
                    seen.add(name)
                    parameter.sub_(0.1 * parameter.grad)
    return seen


def label(entry: Candidate) -> str:
    return f"{entry.label} {entry.mode}"


@pytest.mark.parametrize("description", PLACES)
def test_every_kernel_builds_and_returns_what_its_host_returns(description: str) -> None:
    geometry = offers(description)[0]
    place = PLACES[description]
    torch.manual_seed(0)
    host = find_layer(place.model())
    x = batch(geometry)
    arguments = (x, x, x) if geometry.host == "multihead_attention" else (x,)
    if geometry.batch_axis == 1:
        arguments = tuple(value.transpose(0, 1) for value in arguments)
    wanted = host(*arguments)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    wanted = wanted.transpose(0, 1) if geometry.batch_axis == 1 else wanted
    for entry, kernel in built(description):
        assert kernel(x).shape == wanted.shape, label(entry)


@pytest.mark.parametrize("description", PLACES)
def test_predicted_cost_equals_measured_cost(description: str) -> None:
    x = batch(offers(description)[0])
    for entry, kernel in built(description):
        parameters = sum(parameter.numel() for parameter in kernel.parameters())
        assert entry.cost.parameters == parameters, label(entry)
        assert entry.cost.flops * BATCH == measured_flops(kernel, x), label(entry)


@pytest.mark.parametrize("description", PLACES)
def test_names_and_shapes_of_weights_are_known_without_building(description: str) -> None:
    for entry, kernel in built(description):
        state = kernel.state_dict()
        described = state_weights(entry.ir)
        assert list(described) == list(state), label(entry)
        for name, tensor in state.items():
            assert described[name].shape == tuple(tensor.shape)
            assert f"torch.{described[name].dtype}" == str(tensor.dtype)


@pytest.mark.parametrize("description", PLACES)
def test_every_parameter_gets_a_gradient_within_two_steps(description: str) -> None:
    geometry, entries = offers(description)
    for entry in entries:
        kernel = build(entry.ir, seed=0)
        names = {name for name, _ in kernel.named_parameters()}
        if names:
            assert names == gradients_in_two_steps(kernel, batch(geometry)), label(entry)


@pytest.mark.parametrize("description", PLACES)
def test_residual_kernels_contribute_exactly_nothing_at_birth(description: str) -> None:
    geometry, entries = offers(description)
    residual = [entry for entry in entries if entry.mode is KernelMode.RESIDUAL]
    assert residual, "every place has a residual kernel"
    for entry in residual:
        for seed in range(2):
            kernel = build(entry.ir, seed=seed)
            assert not kernel(batch(geometry)).any(), label(entry)
            assert not kernel.eval()(batch(geometry)).any(), label(entry)


@pytest.mark.parametrize("description", PLACES)
def test_replacing_kernels_are_not_silent_at_birth(description: str) -> None:
    x = batch(offers(description)[0])
    replacing = [pair for pair in built(description) if pair[0].mode is KernelMode.REPLACING]
    assert len(replacing) >= 3, "every place has a control and at least two challengers"
    for entry, kernel in replacing:
        assert kernel(x).any(), label(entry)


@pytest.mark.parametrize("description", PLACES)
def test_built_kernels_pickle_and_copy_without_naming_this_package(description: str) -> None:
    geometry, entries = offers(description)
    x = batch(geometry)
    for entry in entries[:: max(1, len(entries) // 12)]:
        kernel = build(entry.ir, seed=0).eval()
        stored = pickle.dumps(kernel)
        assert b"esper" not in stored
        for twin in (pickle.loads(stored), copy.deepcopy(kernel)):
            assert torch.equal(twin(x), kernel(x)), label(entry)


@pytest.mark.parametrize(
    "description", ["causal self-attention", "batch norm of lines", "rms norm"]
)
def test_a_causal_place_gets_only_kernels_that_look_back(description: str) -> None:
    geometry, entries = offers(description)
    assert geometry.causal
    axis = -1 if geometry.layout in (Layout.IDS, Layout.CHANNELS_1D) else 1
    out_axis = axis if geometry.layout is Layout.CHANNELS_1D else 1
    x = batch(geometry)
    later = x.clone()
    end = later.select(axis, x.shape[axis] - 1)
    end.copy_(end + 1 if x.is_floating_point() else torch.ones_like(end))
    for entry in entries:
        kernel = build(entry.ir, seed=0).eval()
        earlier = x.shape[axis] - 1
        before, after = (kernel(value).narrow(out_axis, 0, earlier) for value in (x, later))
        assert torch.allclose(before, after, atol=1e-6), label(entry)


@pytest.mark.filterwarnings("ignore:The tensor attributes self.*_flat_weights")
@pytest.mark.parametrize("name", families())
def test_every_family_goes_through_export(name: str) -> None:
    geometry, entry = next(
        (geometry, entry)
        for geometry, entries in map(offers, PLACES)
        for entry in entries
        if entry.family == name
    )
    kernel = build(entry.ir, seed=0).eval()
    x = batch(geometry)
    exported = torch.export.export(kernel, (x,))
    assert torch.allclose(exported.module()(x), kernel(x), atol=1e-5)


def test_open_axes_accept_any_length() -> None:
    geometry, entries = offers("linear over tokens")
    assert geometry.input_shape == (None, 24)
    for entry in entries:
        kernel = build(entry.ir, seed=0)
        for length in (1, 3, 11):
            assert kernel(torch.randn(2, length, 24)).shape == (2, length, 36), label(entry)


def test_there_are_at_least_sixteen_families_and_each_is_offered_somewhere() -> None:
    offered = {entry.family for description in PLACES for entry in offers(description)[1]}
    assert len(families()) >= 16
    assert offered == set(families())


def test_every_host_type_has_a_control_and_challengers() -> None:
    hosts = {offers(description)[0].host for description in PLACES}
    assert hosts == {
        "linear",
        "conv1d",
        "conv2d",
        "multihead_attention",
        "layer_norm",
        "rms_norm",
        "group_norm",
        "batch_norm1d",
        "batch_norm2d",
        "embedding",
        "lstm",
        "gru",
    }


@pytest.mark.parametrize("description", PLACES)
def test_a_control_has_exactly_the_hosts_parameters(description: str) -> None:
    entries = offers(description)[1]
    host = find_layer(PLACES[description].model())
    assert entries[0].family == "control"
    assert entries[0].cost.parameters == sum(p.numel() for p in host.parameters())


def test_a_signal_races_a_strided_convolution_first_and_a_hidden_vector_does_not() -> None:
    signal = geometry_at("linear over a signal")
    assert candidates(signal)[0].label == "conv1d/medium"
    hidden = Geometry(
        host="linear",
        layout=Layout.FLAT,
        input_shape=(100,),
        output_shape=(100,),
        reads_input=False,
    )
    assert not any(entry.family == "conv1d" for entry in candidates(hidden))
    assert candidates(hidden)


def test_candidates_can_be_narrowed_by_family_and_mode() -> None:
    geometry = geometry_at("linear over a signal")
    chosen = candidates(geometry, families=["glu"], modes=[KernelMode.RESIDUAL])
    assert {(entry.family, entry.mode) for entry in chosen} == {("glu", KernelMode.RESIDUAL)}
    with pytest.raises(RegistryError, match="Did you mean 'glu'"):
        candidates(geometry, families=["glue"])


def test_a_host_without_a_control_says_how_to_write_one() -> None:
    shape = (3,)
    odd = Geometry(host="odd", layout=Layout.FLAT, input_shape=shape, output_shape=shape)
    with pytest.raises(GeometryError, match=r"CONTROLS\.register"):
        control(odd)


def test_a_family_refuses_sizes_and_layers_that_it_does_not_fit() -> None:
    conv2d = families()["conv2d"]
    with pytest.raises(GeometryError, match="does not fit a linear layer"):
        conv2d.ir(geometry_at("linear over tokens"), "small", KernelMode.REPLACING)
    with pytest.raises(GeometryError, match="Did you mean 'small'"):
        conv2d.ir(geometry_at("linear over an image"), "smal", KernelMode.REPLACING)


def test_the_catalog_table_names_every_family_and_size() -> None:
    table = catalog_table()
    for name, member in families().items():
        assert f"`{name}`" in table
        assert all(size in table for size in member.sizes)


def test_kernels_for_flat_inputs_stay_cheap_for_long_ones() -> None:
    long = geometry_at("linear over a long signal")
    small = next(entry for entry in candidates(long) if entry.label == "conv1d/small")
    assert small.cost.flops < 40 * math.prod(long.cost_shape) * 12
