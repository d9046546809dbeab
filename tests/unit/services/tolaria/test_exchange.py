"""What a run takes from a library: the kernels that fit, kept in its folder."""

from __future__ import annotations

from collections.abc import Sequence
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
from esper.execution.artifact import KernelArtifact, pack
from esper.execution.kernel_cache import KernelCache
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from esper.services.tolaria.exchange import KernelChoice
from esper.services.tolaria.training_config import LibraryConfig, TolariaConfig
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


def choice(
    folder: Path, library: MemoryLibrary | None, *, limit: int, cache: KernelCache | None = None
) -> KernelChoice:
    cache = KernelCache(library) if cache is None else cache
    config = TolariaConfig(data="digits", output=folder, library=LibraryConfig(enter=limit))
    return KernelChoice(folder, config, library, cache)


def ids_of(kernels: Sequence[KernelArtifact]) -> list[str]:
    return [kernel.kernel_id for kernel in kernels]


def test_the_kernels_with_the_largest_gain_come_first_and_no_more_than_asked_for(
    model: MorphableModel, tmp_path: Path
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    ids = [library.put(kernel(place, seed), gain=seed / 10) for seed in range(4)]
    chosen = choice(tmp_path, library, limit=3)
    assert ids_of(chosen(model)) == [ids[3], ids[2], ids[1]]
    assert chosen.trouble is None


def test_kernels_that_fit_no_layer_or_may_not_be_used_are_left(
    model: MorphableModel, tmp_path: Path
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    library.put(kernel(place, 1, KernelMode.RESIDUAL))
    library.put(kernel(place, 2), status=KernelStatus.REJECTED)
    library.put(kernel(place, 3), status=KernelStatus.RETIRED)
    other = wrap(nn.Sequential(nn.Linear(8, 4)), example_input=torch.randn(2, 8))
    library.put(kernel(other.kasmina_layers["0"].geometry, 4))
    library.put(kernel(place, 5), host="conv1d")
    assert choice(tmp_path, library, limit=9)(model) == ()
    candidate_id = library.put(kernel(place, 6), status=KernelStatus.CANDIDATE)
    validated_id = library.put(kernel(place, 7))
    assert ids_of(choice(tmp_path, library, limit=9)(model)) == [validated_id, candidate_id]


def test_a_damaged_or_distrusted_kernel_is_passed_over(
    model: MorphableModel, tmp_path: Path
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    damaged = library.put(kernel(place, 1), gain=0.9)
    library.data[damaged] = b"something else"
    library.put(kernel(place, 2), gain=0.8)
    good = library.put(kernel(place, 3), gain=0.1)

    key = Ed25519PrivateKey.generate()
    library.signed = {good: (sign(good, key),)}
    cache = KernelCache(library, trust=TrustPolicy.of([key.public_key()]))
    assert ids_of(choice(tmp_path, library, limit=1, cache=cache)(model)) == [good]
    assert len(cache) == 1


def test_kernels_come_from_the_nearest_tier_and_stay_there(
    model: MorphableModel, tmp_path: Path
) -> None:
    library, place, near = MemoryLibrary(), model.kasmina_layers["0"].geometry, Drawer()
    kernel_id = library.put(kernel(place, 1))
    choices = [
        choice(tmp_path, library, limit=1, cache=KernelCache(library, tiers=[near]))
        for _ in range(2)
    ]
    assert ids_of(choices[0](model)) == [kernel_id]
    assert near.files == {kernel_id: library.data.pop(kernel_id)}
    assert ids_of(choices[1](model)) == [kernel_id]
    assert choices[0].files == choices[1].files == near.files


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_a_library_that_goes_away_leaves_what_was_found_and_says_so(
    model: MorphableModel, tmp_path: Path, calls: int
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(3):
        library.put(kernel(place, seed), gain=seed / 10)
    library.calls_left = calls
    chosen = choice(tmp_path, library, limit=3)
    assert len(chosen(model)) <= 1
    assert chosen.trouble is not None
    assert "away" in chosen.trouble


def test_what_a_run_began_with_lies_in_its_folder(model: MorphableModel, tmp_path: Path) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(2):
        library.put(kernel(place, seed), gain=seed / 10)
    chosen, resumed = choice(tmp_path, library, limit=2), choice(tmp_path, None, limit=2)
    found = ids_of(chosen(model))
    chosen.keep()
    assert ids_of(resumed(model)) == found
    file = tmp_path / "kernels" / f"{found[0]}.safetensors"
    file.write_bytes(chosen.files[found[1]])
    with pytest.raises(ArtifactError):
        resumed(model)
    file.unlink()
    with pytest.raises(RunFolderError, match="Put the file back"):
        resumed(model)


def test_a_run_without_kernels_leaves_no_trace_of_them(
    model: MorphableModel, tmp_path: Path
) -> None:
    assert choice(tmp_path, None, limit=3)(model) == ()
    chosen = choice(tmp_path, MemoryLibrary(), limit=3)
    assert chosen(model) == ()
    chosen.keep()
    assert list(tmp_path.iterdir()) == []
