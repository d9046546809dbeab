"""What this run knows about blueprints: which were tried, where, and how they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from esper.blueprints.geometry import Geometry
from esper.blueprints.library.catalog import Candidate, candidates, control
from esper.contracts.enums import KernelMode
from esper.contracts.growth import RaceRecord
from esper.execution.artifact import KernelArtifact
from esper.orchestration.proven import family_and_size, fitting


class BlueprintRegistry:
    """The blueprint library as one run sees it, with the run's own experience.

    Args:
        families: only these families are offered; ``None`` offers all.
        kernels: proven kernels, those to try first in front.
    """

    def __init__(
        self, families: Sequence[str] | None = None, kernels: Sequence[KernelArtifact] = ()
    ) -> None:
        self._families = None if families is None else tuple(families)
        self._kernels = tuple(kernels)
        self._entries: dict[str, int] = {}
        self._wins: dict[str, int] = {}
        self._best: dict[str, float] = {}

    def offers(self, geometry: Geometry, modes: Sequence[KernelMode]) -> list[Candidate]:
        """Blueprints that fit a layer."""
        return candidates(geometry, families=self._families, modes=modes)

    def proven(self, geometry: Geometry, modes: Sequence[KernelMode]) -> list[KernelArtifact]:
        """Proven kernels that fit a layer."""
        found = fitting(self._kernels, geometry, modes)
        if self._families is None:
            return found
        return [k for k in found if family_and_size(k)[0] in self._families]

    def control(self, geometry: Geometry) -> Candidate:
        """The fresh copy of the layer that every race measures itself against."""
        return control(geometry)

    def learn(self, race: RaceRecord, winner: str | None) -> None:
        """Take in a finished race; ``winner`` is the family that won."""
        for entrant in race.entrants:
            self._entries[entrant.family] = self._entries.get(entrant.family, 0) + 1
        if winner is not None:
            self._wins[winner] = self._wins.get(winner, 0) + 1
        for rung in race.rungs:
            for standing in rung.standings:
                if standing.net_gain is not None:
                    best = self._best.get(standing.family, standing.net_gain)
                    self._best[standing.family] = max(best, standing.net_gain)

    def entries(self, family: str) -> int:
        """How often the family entered a race."""
        return self._entries.get(family, 0)

    def wins(self, family: str) -> int:
        """How often the family won a race."""
        return self._wins.get(family, 0)

    def best_gain(self, family: str) -> float | None:
        """The family's best net gain at any mark; ``None`` if it never got that far."""
        return self._best.get(family)

    def state_dict(self) -> dict[str, Any]:
        """The run's experience."""
        return {"entries": self._entries, "wins": self._wins, "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved experience."""
        self._entries = dict(state["entries"])
        self._wins = dict(state["wins"])
        self._best = dict(state["best"])
