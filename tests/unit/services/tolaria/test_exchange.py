"""What a run takes from a library: the kernels that fit, kept in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode
from esper.contracts.enums import KernelStatus
from esper.contracts.errors import ArtifactError
from esper.contracts.errors import RunFolderError
from esper.contracts.errors import UntrustedKernelError
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import pack
from esper.orchestration.config import GrowthConfig
from esper.services.tolaria.exchange import choose
from esper.services.tolaria.exchange import keep
from esper.services.tolaria.exchange import kept
from support.memory_library import MemoryLibrary


@pytest.fixture
def model() -> MorphableModel:
    net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))
    return wrap(net, example_input=torch.randn(4, 40))


def kernel(geometry: Geometry | None, seed: int, mode: KernelMode = KernelMode.REPLACING) -> bytes:
    assert geometry is not None
    chosen = candidate(geometry, "glu", "small", mode)
    return pack(build(chosen.ir, seed=seed), chosen.ir, mode, blueprint=chosen.label)


def test_the_kernels_with_the_largest_gain_come_first_and_no_more_than_asked_for(
    model: MorphableModel,
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    ids = [library.put(kernel(place, seed), gain=seed / 10) for seed in range(4)]
    found = choose(library, model, GrowthConfig(), limit=3)
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
    assert choose(library, model, GrowthConfig(), limit=9).kernels == ()
    candidate_id = library.put(kernel(place, 6), status=KernelStatus.CANDIDATE)
    validated_id = library.put(kernel(place, 7))
    found = choose(library, model, GrowthConfig(), limit=9)
    assert [k.kernel_id for k in found.kernels] == [validated_id, candidate_id]


def test_a_damaged_or_distrusted_kernel_is_passed_over(model: MorphableModel) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    damaged = library.put(kernel(place, 1), gain=0.9)
    library.data[damaged] = b"something else"
    distrusted = library.put(kernel(place, 2), gain=0.8)
    good = library.put(kernel(place, 3), gain=0.1)

    def check(kernel_id: str, _: object) -> None:
        if kernel_id == distrusted:
            raise UntrustedKernelError("nobody signed it")

    found = choose(library, model, GrowthConfig(), limit=1, check=check)
    assert [k.kernel_id for k in found.kernels] == [good]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_a_library_that_goes_away_leaves_what_was_found_and_says_so(
    model: MorphableModel, calls: int
) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(3):
        library.put(kernel(place, seed), gain=seed / 10)
    library.calls_left = calls
    found = choose(library, model, GrowthConfig(), limit=3)
    assert len(found.kernels) <= 1
    assert found.trouble is not None
    assert "away" in found.trouble


def test_what_a_run_began_with_lies_in_its_folder(model: MorphableModel, tmp_path: Path) -> None:
    library, place = MemoryLibrary(), model.kasmina_layers["0"].geometry
    for seed in range(2):
        library.put(kernel(place, seed), gain=seed / 10)
    found = choose(library, model, GrowthConfig(), limit=2)
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
    keep(tmp_path, choose(MemoryLibrary(), _nothing(), GrowthConfig(), limit=3))
    assert list(tmp_path.iterdir()) == []


def _nothing() -> MorphableModel:
    return wrap(nn.Sequential(nn.Linear(3, 2)), example_input=torch.randn(2, 3))
