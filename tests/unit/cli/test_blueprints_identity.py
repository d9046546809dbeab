from __future__ import annotations

from esper.cli.blueprints import identity
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode
from kernels import mlp_graph


def blueprint(**fields: object) -> Blueprint:
    facts = {
        "name": "mine",
        "family": "custom",
        "size": "custom",
        "mode": KernelMode.REPLACING,
        "architecture": mlp_graph().to_dict(),
        "input_shape": (4,),
        "output_shape": (4,),
        "parameters": 1,
        "flops": 1,
    }
    return Blueprint.model_validate({**facts, **fields})


def test_a_blueprint_has_one_id_whenever_and_wherever_it_is_submitted() -> None:
    assert identity(blueprint()) == identity(blueprint(state=BlueprintState.UNVALIDATED))
    assert identity(blueprint()) == identity(blueprint(blueprint_id=identity(blueprint())))


def test_another_graph_name_place_or_mode_is_another_blueprint() -> None:
    others = [
        blueprint(name="other"),
        blueprint(host="linear"),
        blueprint(mode=KernelMode.RESIDUAL),
        blueprint(architecture=mlp_graph(5).to_dict()),
    ]
    assert len({identity(one) for one in [blueprint(), *others]}) == 5
