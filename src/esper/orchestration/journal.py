"""The journal: what a run has raced, decided and become so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from esper.contracts.growth import GrowthDecision, LayerRecord, RaceRecord


@dataclass
class Journal:
    """Append-only record of a run.

    Args:
        parameters: of the model before growth.
        layers: drawing of the model before growth.
    """

    parameters: int
    layers: tuple[LayerRecord, ...]
    races: list[RaceRecord] = field(default_factory=list)
    decisions: list[GrowthDecision] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """The journal as plain data."""
        return {
            "parameters": self.parameters,
            "layers": [r.model_dump(mode="json") for r in self.layers],
            "races": [r.model_dump(mode="json") for r in self.races],
            "decisions": [d.model_dump(mode="json") for d in self.decisions],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved journal."""
        self.parameters = state["parameters"]
        self.layers = tuple(LayerRecord.model_validate(r) for r in state["layers"])
        self.races = [RaceRecord.model_validate(r) for r in state["races"]]
        self.decisions = [GrowthDecision.model_validate(d) for d in state["decisions"]]
