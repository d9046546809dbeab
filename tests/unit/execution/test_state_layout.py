from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from esper.contracts.lifecycle import SeedPhase
from esper.execution.conversion import convert
from esper.execution.state_layout import FIELDS, KasminaStateLayout, kernel_number

KERNEL_ID = "ff" * 8 + "00" * 24


def test_fields_have_the_documented_dtypes() -> None:
    state = KasminaStateLayout(3)
    dtypes = [getattr(state, field).dtype for field in FIELDS]
    assert dtypes == [torch.uint8, torch.int64, torch.float16, torch.float32, torch.uint16]
    assert all(getattr(state, field).shape == (3,) for field in FIELDS)


def test_kernel_number_is_the_first_eight_bytes_signed() -> None:
    assert kernel_number("") == 0
    assert kernel_number("00" * 7 + "05" + "aa" * 24) == 5
    assert kernel_number(KERNEL_ID) == -1


def test_written_fields_are_read_back() -> None:
    state = KasminaStateLayout(2)
    state.write(1, phase=SeedPhase.GRAFTING, kernel_id=KERNEL_ID, alpha=0.5)
    state.record_health(1, 0.5)
    state.record_latency(1, 1e9)
    assert state.snapshot() == {
        "lifecycle_states": [0, 4],
        "active_kernel_id": [0, -1],
        "alpha_blend": [0.0, 0.5],
        "health_accumulator": [pytest.approx(float("nan"), nan_ok=True), 0.5],
        "exec_latency_us": [0, 65535],
    }


def test_health_is_a_moving_average_that_starts_at_the_first_score() -> None:
    state = KasminaStateLayout(1)
    state.record_health(0, 1.0)
    state.record_health(0, 0.0, momentum=0.75)
    assert state.health_accumulator.tolist() == [0.75]


def test_cleared_slot_is_as_new() -> None:
    state, new = KasminaStateLayout(1), KasminaStateLayout(1)
    state.write(0, phase=SeedPhase.TRAINING, kernel_id=KERNEL_ID, alpha=1.0)
    state.record_health(0, 0.3)
    state.record_latency(0, 7)
    state.clear(0)
    for field in FIELDS:
        assert torch.equal(getattr(state, field).float(), getattr(new, field).float()) or (
            field == "health_accumulator" and state.health_accumulator.isnan().all()
        )


def test_state_keeps_dtypes_when_the_layer_is_cast_and_is_not_in_the_state_dict() -> None:
    layer = convert(nn.Linear(2, 2))
    layer.host.double()
    layer.host.half()
    assert layer.state.alpha_blend.dtype is torch.float16
    assert layer.state.health_accumulator.dtype is torch.float32
    assert set(layer.host.state_dict()) == {"weight", "bias"}
    assert not list(layer.host.buffers())


def test_state_survives_a_move_to_meta_and_back() -> None:
    layer = convert(nn.Linear(2, 2))
    layer.state.write(0, alpha=0.5)
    layer.host.to("meta").to_empty(device="cpu")
    assert layer.state.alpha_blend[0] == 0.5


def test_copies_and_pickles_are_equal() -> None:
    state = KasminaStateLayout(2)
    state.write(0, phase=SeedPhase.TRAINING, alpha=0.5)
    state.record_latency(0, 40000)
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert other.exec_latency_us.dtype is torch.uint16
        assert other.exec_latency_us.tolist() == [40000, 0]
        assert torch.equal(other.alpha_blend, state.alpha_blend)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_state_follows_its_layer_to_another_device() -> None:
    layer = convert(nn.Linear(2, 2)).to("cuda")
    assert all(getattr(layer.state, field).device.type == "cuda" for field in FIELDS)
