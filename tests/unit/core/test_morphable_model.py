"""MorphableModel: document 000's usage, its errors, and what it is as a module."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from esper.contracts.errors import (
    AlphaError,
    ArtifactError,
    ConfigError,
    IllegalTransitionError,
    KernelMismatchError,
    LayerNotFoundError,
    SeedIndexError,
)
from esper.contracts.lifecycle import SeedPhase
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.kernel_store import LocalKernelStore
from unit.core.morphable import kernel_file, make_net

# The usage of document 000 ----------------------------------------------------------------------


def test_it_trains_like_a_normal_model(model: MorphableModel, x: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        loss = functional.cross_entropy(model(x), torch.zeros(5, dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    stats = model.get_model_stats()
    assert stats["total_forward_calls"] == 3
    assert (stats["active_seeds"], stats["total_seeds"]) == (0, 8)
    assert stats["total_kasmina_layers"] == 2
    assert not stats["morphogenetic_active"]
    assert list(stats["layer_stats"]) == model.get_layer_names() == ["0", "2"]


async def load_async(model: MorphableModel, *args: Any) -> bool:
    return await model.load_kernel(*args)


async def load_sync(model: MorphableModel, *args: Any) -> bool:
    return model.load_kernel_sync(*args)


BOTH_WAYS = pytest.mark.parametrize("load", [load_async, load_sync])


@pytest.mark.asyncio
@BOTH_WAYS
@pytest.mark.parametrize("reference", ["id", "path", "text path"])
async def test_a_kernel_file_is_loaded_blended_and_unloaded(
    model: MorphableModel,
    store: LocalKernelStore,
    x: torch.Tensor,
    tmp_path: Path,
    load: Callable[..., Any],
    reference: str,
) -> None:
    data = kernel_file()
    path = tmp_path / "kernel.safetensors"
    path.write_bytes(data)
    artifact_id = {"id": store.put(data), "path": path, "text path": str(path)}[reference]
    host = model.eval()(x)

    assert await load(model, "0", 0, artifact_id) is True
    assert model.morphogenetic_active
    assert torch.equal(model(x), host)
    model.set_seed_alpha("0", 0, 0.3)
    comparison = model.compare_with_original(x)
    assert comparison["mse"] > 0
    assert comparison["max_absolute_difference"] > 0
    assert comparison["output_shape"] == (5, 4)
    assert comparison["morphogenetic_active"] is True
    assert model.get_layer_stats("0")["state_stats"]["active_seeds"] == 1
    assert model.get_layer_stats()["2"]["state_stats"]["active_seeds"] == 0
    assert model.get_model_stats()["total_kernel_executions"] > 0

    assert await model.unload_kernel("0", 0) is True
    assert not model.morphogenetic_active
    assert torch.equal(model(x), host)
    assert model.compare_with_original(x)["mse"] == 0.0


@pytest.mark.asyncio
@BOTH_WAYS
async def test_an_unknown_layer_is_a_value_error_that_names_the_nearest(
    x: torch.Tensor, load: Callable[..., Any]
) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(6, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.encoder(x)

    model = wrap(Named(), example_input=x)
    with pytest.raises(ValueError, match=r"no layer 'encodr'.*Did you mean 'encoder'"):
        await load(model, "encodr", 0, "a" * 64)
    with pytest.raises(LayerNotFoundError):
        model.get_layer_stats("nonexistent_layer")


@pytest.mark.asyncio
@BOTH_WAYS
async def test_a_kernel_that_is_not_there_is_false_and_logged(
    model: MorphableModel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    load: Callable[..., Any],
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await load(model, "0", 0, "a" * 64) is False
        assert await load(model, "0", 0, "kernel-123") is False
        assert await load(model, "0", 0, tmp_path / "nothing.safetensors") is False
    assert caplog.text.count("seed 0 of layer '0' got no kernel") == 3
    assert model.layer("0").seed(0).phase is SeedPhase.DORMANT


@pytest.mark.asyncio
@BOTH_WAYS
async def test_bad_input_is_refused_by_name_and_changes_nothing(
    model: MorphableModel, store: LocalKernelStore, tmp_path: Path, load: Callable[..., Any]
) -> None:
    names = list(model.state_dict())
    kernel_id = store.put(kernel_file())
    with pytest.raises(SeedIndexError, match=r"seed 4 of layer '0' does not exist"):
        await load(model, "0", 4, kernel_id)
    with pytest.raises(KernelMismatchError, match=r"layer '2'"):
        await load(model, "2", 0, kernel_id)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(kernel_file()[:-7])
    with pytest.raises(ArtifactError, match=r"damaged\.safetensors"):
        await load(model, "0", 0, damaged)
    assert list(model.state_dict()) == names
    assert not model.morphogenetic_active

    assert await load(model, "0", 0, kernel_id)
    with pytest.raises(IllegalTransitionError):
        await load(model, "0", 0, kernel_id)
    for alpha in (-0.1, 1.1, float("nan"), "much"):
        with pytest.raises(AlphaError, match=r"seed 0 of layer '0'"):
            model.set_seed_alpha("0", 0, alpha)  # type: ignore[arg-type]
    with pytest.raises(IllegalTransitionError):
        model.set_seed_alpha("0", 1, 0.5)


def test_unloading_an_empty_slot_is_false_and_a_fossil_stays(
    model: MorphableModel, store: LocalKernelStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert model.unload_kernel_sync("0", 0) is False
    assert "holds no kernel to unload" in caplog.text
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    model.set_seed_alpha("0", 0, 1.0)
    model.fossilize("0", 0)
    with pytest.raises(IllegalTransitionError):
        model.unload_kernel_sync("0", 0)


def test_one_kernel_in_two_slots_is_two_kernels(
    model: MorphableModel, store: LocalKernelStore
) -> None:
    kernel_id = store.put(kernel_file())
    for slot in (0, 1):
        model.load_kernel_sync("0", slot, kernel_id)
    first, second = (model.layer("0").seed(slot).kernel for slot in (0, 1))
    assert first is not None
    assert second is not None
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert next(second.parameters()).abs().sum() > 0
    model.load_kernel_sync("0", 2, kernel_id)
    third = model.layer("0").seed(2).kernel
    assert third is not None
    assert torch.equal(next(third.parameters()), next(second.parameters()))


def test_telemetry_is_switched_for_all_layers(model: MorphableModel) -> None:
    model.enable_telemetry(False)
    assert not any(stats["telemetry_enabled"] for stats in model.get_layer_stats().values())
    model.enable_telemetry()
    assert all(stats["telemetry_enabled"] for stats in model.get_layer_stats().values())


# As a module --------------------------------------------------------------------------------------


def test_state_dicts_load_both_ways(model: MorphableModel) -> None:
    plain = make_net()
    model.load_state_dict(plain.state_dict())
    make_net().load_state_dict(model.state_dict())
    for (name, there), (same, here) in zip(
        plain.state_dict().items(), model.state_dict().items(), strict=True
    ):
        assert name == same
        assert torch.equal(there, here)
    assert model.state_dict()._metadata == plain.state_dict()._metadata  # type: ignore[attr-defined]


def test_state_dicts_load_both_ways_inside_another_module(model: MorphableModel) -> None:
    outer, plain = nn.ModuleDict({"net": model}), nn.ModuleDict({"net": make_net()})
    assert list(outer.state_dict()) == list(plain.state_dict())
    outer.load_state_dict(plain.state_dict())
    assert torch.equal(model.state_dict()["0.weight"], plain.state_dict()["net.0.weight"])
    plain.load_state_dict(outer.state_dict())


def test_a_wrong_state_dict_is_refused_with_the_plain_names(model: MorphableModel) -> None:
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0.weight"'):
        model.load_state_dict({})


def test_attributes_are_looked_up_on_the_wrapped_model(model: MorphableModel) -> None:
    model.wrapped_model.note = "mine"
    assert model.note == "mine"
    with pytest.raises(AttributeError, match=r"nothing_like_this"):
        _ = model.nothing_like_this


def test_copies_are_complete_and_independent(
    model: MorphableModel, store: LocalKernelStore, x: torch.Tensor
) -> None:
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    model.set_seed_alpha("0", 0, 0.5)
    model.attach_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    output = model.eval()(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), output)
        assert twin.layer("0").host is twin.wrapped_model[0]
        assert twin.layer("0") is not model.layer("0")
        twin.set_seed_alpha("0", 0, 0.0)
        assert not torch.equal(twin(x), output)
        assert torch.equal(model(x), output)
        twin.unload_kernel_sync("0", 0)
        assert model.morphogenetic_active


# torch's own: dynamo instantiates every autograd function that it traces.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_compiled_model_counts_no_calls_and_breaks_no_graph(
    model: MorphableModel, store: LocalKernelStore, x: torch.Tensor
) -> None:
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    model.set_seed_alpha("0", 0, 0.5)
    model.eval()
    eager = model(x)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    calls = model.total_forward_calls
    assert torch.allclose(compiled(x), eager)
    assert model.total_forward_calls == calls


def test_comparing_leaves_modes_statistics_and_randomness_alone(x: torch.Tensor) -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    model = wrap(net)
    model.train()
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    state = torch.get_rng_state()
    assert model.compare_with_original(x)["mse"] == 0.0
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(torch.equal(buffers[n], b) for n, b in model.named_buffers())


def test_comparing_needs_the_original(x: torch.Tensor) -> None:
    model = wrap(make_net(), preserve_original=False)
    with pytest.raises(ConfigError, match=r"preserve_original=True"):
        model.compare_with_original(x)


def test_only_layers_that_guard_kernels_are_asked_at_a_step(
    model: MorphableModel, store: LocalKernelStore
) -> None:
    assert model._guarded == ()
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    assert model._guarded == (model.layer("0"),)
    twin = copy.deepcopy(model)
    assert twin._guarded == (twin.layer("0"),)
