"""The words that pages about runs use, each explained once; `docs/concepts.md` has the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from esper.contracts.enums import SeedState

GLOSSARY: Final[Mapping[str, str]] = {
    "kernel": "a small network of its own that takes a layer's place or works beside it",
    "race": "candidates for a layer train side by side in the shadow; the running model does not "
    "notice",
    "mark": "a step of a race at which the candidates are compared and the worst leave",
    "fresh copy": "the layer itself, begun anew and raced like a candidate: what more training "
    "alone would bring. A winner must beat it",
    "held-out data": "data that no training step saw; every decision rests on it. The test data is "
    "other data, measured once, at the end",
    "gain": "the share of the held-out loss that a kernel takes away: positive when it is better",
    "interval": "where the gain lies for other choices of held-out samples; the luck of the seed "
    "is not in it",
    "rent": "what a kernel must gain for its parameters and operations before it may come in",
    "blend": "a kernel that won is turned up from 0 to 1 step by step, then checked",
    "permanent": "a kernel that passed its check is part of the model for good",
}
"""In the order in which a run meets them."""

STATE_NAMES: Final[Mapping[SeedState, str]] = {
    SeedState.DORMANT: "empty",
    SeedState.TRAINING: "racing",
    SeedState.GERMINATED: "installed",
    SeedState.GRAFTING: "blending in",
    SeedState.FOSSILIZED: "permanent",
    SeedState.CULLED: "taken out",
}
"""What a page calls the states of a slot."""

STATE_WORDS: Final[Mapping[SeedState, str]] = {
    SeedState.DORMANT: "empty: the layer computes what it always did",
    SeedState.TRAINING: "candidates train in the layer's shadow; the model does not feel them",
    SeedState.GERMINATED: "a kernel was chosen and is in place, without a say yet",
    SeedState.GRAFTING: "the kernel is blended in, step by step",
    SeedState.FOSSILIZED: "the kernel is part of the model for good",
    SeedState.CULLED: "a kernel was tried in the model and taken out again",
}
"""What each state means, in the order in which a kernel goes through them."""

STATE_GLYPHS: Final[Mapping[SeedState, str]] = {
    SeedState.DORMANT: "○",
    SeedState.TRAINING: "◔",
    SeedState.GERMINATED: "◑",
    SeedState.GRAFTING: "◕",
    SeedState.FOSSILIZED: "●",
    SeedState.CULLED: "✕",
}
"""States are told apart by shape as well as by colour."""
