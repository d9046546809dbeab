"""What a run takes from a library: the kernels that fit, kept in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode, KernelStatus
from esper.contracts.errors import ArtifactError, RunFolderError
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import pack
from esper.execution.kernel_cache import KernelCache
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from esper.orchestration.growth_config import GrowthConfig
from esper.services.tolaria.exchange import Selection, choose, keep, kept
from support.memory_library import MemoryLibrary
from support.shelves import Drawer


@pytest.fixture
def model() -> MorphableModel:
    net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))
    return wrap(net, example_input=torch.randn(4, 40))


def kernel(geometry: Geometry | None, seed: int, mode: KernelMode = KernelMode.REPLACING) -> bytes:
    assert geometry is not None
    chosen = candidate(geometry, "glu", "small", mode)
    return pack(build(chosen.ir, seed=seed), chosen.ir, mode, blueprint=chosen.label)


def take(library: MemoryLibrary, model: MorphableModel, *, limit: int) -> Selection:
    return choose(library, model, GrowthConfig(), limit=limit, cache=KernelCache(library))


def test_the_kernels_with_the_largest_gain_come_first_and_no_more_than_asked_for(
    model: MorphableModel,
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    ids = [library.put(kernel(place, seed), gain=seed / 10) for seed in range(4)]
    found = take(library, model, limit=3)
    assert [k.kernel_id for k in found.kernels] == [ids[3], ids[2], ids[1]]
    assert found.trouble is None


def test_kernels_that_fit_no_layer_or_may_not_be_used_are_left(model: MorphableModel) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    library.put(kernel(place, 1, KernelMode.RESIDUAL))
    library.put(kernel(place, 2), status=KernelStatus.REJECTED)
    library.put(kernel(place, 3), status=KernelStatus.RETIRED)
    other = wrap(nn.Sequential(nn.Linear(8, 4)), example_input=torch.randn(2, 8))
    library.put(kernel(other.kasmina_layers["0"].geometry, 4))
    library.put(kernel(place, 5), host="conv1d")
    assert take(library, model, limit=9).kernels == ()
    candidate_id = library.put(kernel(place, 6), status=KernelStatus.CANDIDATE)
    validated_id = library.put(kernel(place, 7))
    found = take(library, model, limit=9)
    assert [k.kernel_id for k in found.kernels] == [validated_id, candidate_id]


def test_a_damaged_or_distrusted_kernel_is_passed_over(model: MorphableModel) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    damaged = library.put(kernel(place, 1), gain=0.9)
    library.data[damaged] = b"something else"
    distrusted = library.put(kernel(place, 2), gain=0.8)
    good = library.put(kernel(place, 3), gain=0.1)

    key = Ed25519PrivateKey.generate()
    library.signed = {good: (sign(good, key),)}
    cache = KernelCache(library, trust=TrustPolicy.of([key.public_key()]))
    found = choose(library, model, GrowthConfig(), limit=1, cache=cache)
    assert [k.kernel_id for k in found.kernels] == [good]
    assert found.kernels[0].kernel_id != distrusted
    assert len(cache) == 1


def test_kernels_come_from_the_nearest_tier_and_stay_there(model: MorphableModel) -> None:
    library, place, near = MemoryLibrary(), model.kasmina_layers["0"].geometry, Drawer()
    kernel_id = library.put(kernel(place, 1))
    first = choose(
        library, model, GrowthConfig(), limit=1, cache=KernelCache(library, tiers=[near])
    )
    assert near.files == {kernel_id: library.data.pop(kernel_id)}
    again = choose(
        library, model, GrowthConfig(), limit=1, cache=KernelCache(library, tiers=[near])
    )
    assert again.entered[0].data == first.entered[0].data


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_a_library_that_goes_away_leaves_what_was_found_and_says_so(
    model: MorphableModel, calls: int
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(3):
        library.put(kernel(place, seed), gain=seed / 10)
    library.calls_left = calls
    found = take(library, model, limit=3)
    assert len(found.kernels) <= 1
    assert found.trouble is not None
    assert "away" in found.trouble


def test_what_a_run_began_with_lies_in_its_folder(model: MorphableModel, tmp_path: Path) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(2):
        library.put(kernel(place, seed), gain=seed / 10)
    found = take(library, model, limit=2)
    keep(tmp_path, found)
    assert [k.kernel_id for k in kept(tmp_path)] == [k.kernel_id for k in found.kernels]
    file = tmp_path / "kernels" / f"{found.kernels[0].kernel_id}.safetensors"
    file.write_bytes(found.entered[1].data)
    with pytest.raises(ArtifactError):
        kept(tmp_path)
    file.unlink()
    with pytest.raises(RunFolderError, match="Put the file back"):
        kept(tmp_path)


def test_a_run_without_kernels_leaves_no_trace_of_them(tmp_path: Path) -> None:
    assert kept(tmp_path) == ()
    keep(tmp_path, take(MemoryLibrary(), _nothing(), limit=3))
    assert list(tmp_path.iterdir()) == []


def _nothing() -> MorphableModel:
    return wrap(nn.Sequential(nn.Linear(3, 2)), example_input=torch.randn(2, 3))
