"""Adaptation strategies: which candidates compete, in which order, and how high alpha goes.

Each strategy is a pure function of the candidates and of what this run has tried before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from esper.blueprints.library.catalog import Candidate
from esper.contracts.enums import AdaptationStrategyName, KernelMode
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.utils.registry import Registry


class AdaptationStrategy(Protocol):
    """How an adaptation is put together."""

    modes: tuple[KernelMode, ...]
    """Modes that candidates may have."""

    def choose(
        self, slot: str, candidates: Sequence[Candidate], registry: BlueprintRegistry
    ) -> list[Candidate]:
        """The candidates that may compete for ``slot``, those to try first in front."""


STRATEGIES: Registry[AdaptationStrategyName, type[AdaptationStrategy]] = Registry(
    "adaptation strategy"
)


@STRATEGIES.register(AdaptationStrategyName.REPLACE)
@dataclass(frozen=True)
class Replace:
    """A better-suited kernel takes over the layer; the host is dropped."""

    modes: tuple[KernelMode, ...] = (KernelMode.REPLACING,)

    def choose(
        self, slot: str, candidates: Sequence[Candidate], registry: BlueprintRegistry
    ) -> list[Candidate]:
        """Every candidate, in the library's order."""
        return list(candidates)


@STRATEGIES.register(AdaptationStrategyName.ENSEMBLE)
@dataclass(frozen=True)
class Ensemble:
    """Kernels beside the host: it stays, they add to it."""

    modes: tuple[KernelMode, ...] = (KernelMode.RESIDUAL,)

    def choose(
        self, slot: str, candidates: Sequence[Candidate], registry: BlueprintRegistry
    ) -> list[Candidate]:
        """Every candidate, in the library's order."""
        return list(candidates)


@STRATEGIES.register(AdaptationStrategyName.DIVERSIFY)
@dataclass(frozen=True)
class Diversify:
    """Families that the model does not have yet, of either mode, one size each."""

    modes: tuple[KernelMode, ...] = (KernelMode.REPLACING, KernelMode.RESIDUAL)

    def choose(
        self, slot: str, candidates: Sequence[Candidate], registry: BlueprintRegistry
    ) -> list[Candidate]:
        """The first of each family and mode; families that have won in this run are left out."""
        first: dict[tuple[str, KernelMode], Candidate] = {}
        for candidate in candidates:
            if not registry.wins(candidate.family):
                first.setdefault((candidate.family, candidate.mode), candidate)
        return sorted(first.values(), key=lambda c: registry.entries(c.family))


@STRATEGIES.register(AdaptationStrategyName.SPECIALIZE)
@dataclass(frozen=True)
class Specialize:
    """Variants, in size and mode, of the families that did best in this run so far."""

    modes: tuple[KernelMode, ...] = (KernelMode.REPLACING, KernelMode.RESIDUAL)

    def choose(
        self, slot: str, candidates: Sequence[Candidate], registry: BlueprintRegistry
    ) -> list[Candidate]:
        """Families by their best net gain so far; all of them before the first race."""
        known = [c for c in candidates if registry.best_gain(c.family) is not None]
        gains = {c.family: registry.best_gain(c.family) or 0.0 for c in known}
        positive = [c for c in known if gains[c.family] > 0]
        return sorted(positive, key=lambda c: -gains[c.family]) or list(candidates)
