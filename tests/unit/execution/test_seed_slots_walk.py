"""Random walks over a layer's moves: what must hold after every one of them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from esper.contracts.errors import EsperError
from esper.contracts.lifecycle import SeedPhase
from esper.execution.conversion import convert
from esper.execution.kasmina_layer import KasminaLayer

MOVES = st.one_of(
    st.tuples(st.just("install"), st.integers(0, 1), st.sampled_from(["replacing", "residual"])),
    st.tuples(st.just("set_alpha"), st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0, 1.5])),
    st.tuples(
        st.sampled_from(["germinate", "begin_loading", "fossilize", "cull", "isolate", "retry"]),
        st.integers(0, 1),
    ),
)


class Bent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.map(x))


def _make(layer: KasminaLayer, move: tuple[Any, ...]) -> None:
    name, index, *rest = move
    if name == "install":
        layer.install(index, Bent(), mode=rest[0])
    elif name == "set_alpha":
        layer.set_alpha(index, rest[0])
    else:
        getattr(layer, name)(index)


def _facts(layer: KasminaLayer) -> tuple[Any, ...]:
    seeds = [(s.phase, s.alpha, s.kernel, s.mode) for s in layer.seeds()]
    return (
        seeds,
        list(layer.host.state_dict()),
        layer.live,
        layer.host_dropped,
        layer.state.snapshot(),
    )


def _reference(layer: KasminaLayer, plain: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Compute the output from the mirror alone, without any of the shortcuts."""
    out = torch.full_like(x, torch.nan) if layer.host_dropped else plain(x)
    for index in layer.order:
        seed = layer.seed(index)
        if seed.kernel is None:
            continue
        own = seed.kernel(x)
        if seed.mode == "residual":
            out = out + seed.alpha * own
        else:
            out = own if seed.alpha == 1.0 else torch.lerp(out, own, seed.alpha)
    return out


@settings(max_examples=150)
@given(st.lists(MOVES, max_size=14))
def test_every_walk_keeps_mirror_tensors_modules_and_output_in_step(
    moves: list[tuple[Any, ...]],
) -> None:
    torch.manual_seed(0)
    plain, x = nn.Linear(3, 3), torch.randn(2, 3)
    layer = convert(copy.deepcopy(plain), num_seeds=2, name="fc")
    for move in moves:
        before = _facts(layer)
        try:
            _make(layer, move)
        except EsperError:
            assert str(_facts(layer)) == str(before)
        for seed in layer.seeds():
            assert layer.state.lifecycle_states[seed.index] == int(seed.phase)
            assert layer.state.alpha_blend[seed.index] == seed.alpha
            registered = f"esper_kernels.{seed.index}" in dict(layer.host.named_modules())
            assert registered == (seed.kernel is not None)
            assert (seed.alpha > 0) == (seed.phase in {SeedPhase.GRAFTING, SeedPhase.FOSSILIZED})
        if all(seed.alpha == 0 for seed in layer.seeds()):
            assert not layer.live
            assert torch.equal(layer.host(x), plain(x))
        else:
            assert torch.allclose(layer.host(x), _reference(layer, plain, x), atol=1e-6)
