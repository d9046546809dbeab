from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from esper.contracts.assets import Blueprint, KernelMetadata, Seed
from esper.contracts.enums import BlueprintState, KernelMode, SeedState

DIGEST = "0123456789abcdef" * 4
METADATA: dict[str, Any] = {
    "blueprint": "bottleneck/small",
    "mode": "residual",
    "input_shape": [None, 8],
    "output_shape": [None, 8],
    "parameters": 10,
    "flops": 20,
    "esper_version": "0.2.0",
}


def test_a_seed_begins_dormant_with_an_identity_of_its_own() -> None:
    one, two = Seed(layer_id=0, position=0), Seed(layer_id=0, position=0)
    assert one.state is SeedState.DORMANT
    assert one.alpha == 0.0
    assert one.seed_id != two.seed_id
    assert one.created_at.tzinfo is not None


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_lies_between_0_and_1(alpha: float) -> None:
    with pytest.raises(ValidationError, match="alpha"):
        Seed(layer_id=0, position=0, alpha=alpha)


@pytest.mark.parametrize("digest", ["", "abc", DIGEST.upper(), DIGEST[:-1] + "g", DIGEST + "\n"])
def test_a_kernel_id_is_64_lower_case_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValidationError, match="kernel_id"):
        KernelMetadata(**METADATA, kernel_id=digest)


def test_every_asset_survives_json() -> None:
    metadata = KernelMetadata(**METADATA, kernel_id=DIGEST)
    assets: list[BaseModel] = [
        Seed(layer_id=1, position=2, kernel_id=DIGEST),
        metadata,
        Blueprint(
            name="bottleneck/small",
            family="bottleneck",
            size="small",
            mode=KernelMode.RESIDUAL,
            architecture={"schema": 1, "nodes": [{"op": "linear", "attrs": {"bias": True}}]},
            input_shape=(None, 8),
            output_shape=(None, 8),
            parameters=10,
            flops=20,
        ),
    ]
    for asset in assets:
        assert type(asset).model_validate_json(asset.model_dump_json()) == asset


def test_a_blueprint_begins_as_a_proposal() -> None:
    assert Blueprint.model_fields["state"].default is BlueprintState.PROPOSED
    assert metadata_shape(KernelMetadata(**METADATA)) == (None, 8)


def metadata_shape(metadata: KernelMetadata) -> tuple[int | None, ...]:
    return metadata.input_shape
