"""Racing: opens a race that the budget can bear, runs it, and says how it ended."""

from __future__ import annotations

from typing import Any

from esper.blueprints.cost import cost
from esper.blueprints.ir import GraphIR
from esper.blueprints.library.catalog import Candidate
from esper.contracts.events import RaceDecided
from esper.contracts.events import RaceStarted
from esper.contracts.events import RungFinished
from esper.contracts.growth import CandidateStanding
from esper.contracts.growth import GrowthDecision
from esper.contracts.operational import AdaptationDecision
from esper.orchestration.proposals import Proposal
from esper.orchestration.proposals import Stand
from esper.orchestration.proposals import propose
from esper.orchestration.race import CONTROL
from esper.orchestration.race import SMALLEST_BATCH
from esper.orchestration.race import Entrant
from esper.orchestration.race import Outcome
from esper.orchestration.race import Race
from esper.orchestration.race import enter
from esper.orchestration.run import Run
from esper.orchestration.shadow import OwnRandomness
from esper.orchestration.shadow import Shadow
from esper.orchestration.strategies import STRATEGIES

FIRST_RUNG = 0.6
"""Share of a race's budget that the first rung, with everybody in it, may use."""
FEWEST = 2
"""Challengers below which a race is not worth its name."""


class Racing:
    """The races of one run, one at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.race: Race | None = None

    def open(self, decision: AdaptationDecision) -> None:
        """Start the race that a controller asked for, if any blueprint fits and is affordable."""
        run = self._run
        slots = {
            name: layer.geometry
            for name, layer in run.open_slots().items()
            if layer.geometry is not None and (not decision.layers or name in decision.layers)
        }
        strategy = STRATEGIES.lookup(decision.strategy)()
        proposals = propose(slots, strategy, run.blueprints, self._stand(), run.config)
        if decision.families:
            allowed = {*decision.families, CONTROL}
            proposals = [p for p in proposals if p.standing.family in allowed]
        lengths, proposals = self._affordable(proposals)
        run.last_race = run.step
        if not lengths:
            reason = f"{decision.reason}; but no blueprint fits the layers, limits and budget"
            run.journal.decide(
                GrowthDecision(
                    step=run.step, verdict="decline", candidate=None, evidence=None, reason=reason
                )
            )
            return
        self.race = self._assemble(proposals, lengths)
        self._announce(self.race)

    def step(self, x: Any, y: Any) -> Outcome | None:
        """Train everybody on the batch; at a mark, judge. Returns how the race ended, once."""
        run, race = self._run, self.race
        assert race is not None
        before = race.flops
        race.train(x, y)
        run.ledger.shadow += race.flops - before
        if race.steps < race.next_mark:
            return None
        before = race.evaluated
        outcome = race.mark(run.step, run.model.wrapped_model)
        run.ledger.evaluation += race.evaluated - before
        rung = race.rungs[-1]
        run.emit(
            RungFinished(
                step=run.step,
                race=race.index,
                rung=len(race.rungs) - 1,
                standings=rung.standings,
            )
        )
        if outcome is not None:
            self._close(race, outcome)
        return outcome

    def _close(self, race: Race, outcome: Outcome) -> None:
        run = self._run
        self.race = None
        run.last_race = run.step
        record = race.record(run.step)
        winner = outcome.winner
        run.journal.races.append(record)
        run.blueprints.learn(record, None if winner is None else winner.standing.family)
        best = outcome.best
        run.journal.decide(
            GrowthDecision(
                step=run.step,
                verdict="decline" if winner is None else "graft",
                candidate=None if best is None else best.standing,
                evidence=outcome.evidence,
                against_control=outcome.against_control,
                rent=0.0 if best is None else best.standing.rent,
                reason=outcome.reason,
            )
        )
        run.emit(
            RaceDecided(
                step=run.step,
                race=race.index,
                winner=None if winner is None else winner.standing,
                standings=race.rungs[-1].standings,
                reason=outcome.reason,
            )
        )

    def _stand(self) -> Stand:
        run = self._run
        return Stand(
            parameters=run.parameters(),
            forward_flops=run.ledger.forward_flops,
            step_flops=run.ledger.step_flops,
            static_step_flops=run.ledger.static_step_flops,
            spent=run.ledger.account().multiple * run.step / run.total_steps,
            remaining=max(0.0, 1.0 - run.step / run.total_steps),
        )

    def _affordable(self, proposals: list[Proposal]) -> tuple[tuple[int, ...], list[Proposal]]:
        """Rung lengths within the race budget; the last challengers are left out to get there."""
        run, config = self._run, self._run.config
        full = run.span(config.rung)
        budget = config.race_compute * run.base_flops() - run.ledger.shadow
        challengers = [p for p in proposals if p.standing.family != CONTROL]
        controls = {p.standing.layer_name: p for p in proposals if p.standing.family == CONTROL}
        while len(challengers) >= FEWEST:
            slots = dict.fromkeys(p.standing.layer_name for p in challengers)
            field = [*challengers, *(controls[s] for s in slots)]
            step = sum(self._shadow_flops(p) for p in field)
            first = min(full, int(FIRST_RUNG * budget / step))
            if first >= full / 2 or (len(challengers) == FEWEST and first >= full / 4):
                later = self._later_rungs(full, budget - first * step, step)
                return (first, *later), field
            challengers.pop()
        return (), []

    def _later_rungs(self, full: int, budget: float, first_step: float) -> list[int]:
        config, lengths = self._run.config, []
        for rung in range(1, config.rungs):
            # Survivors and their controls: at most twice the kept share.
            step = first_step * min(1.0, 2 * config.keep**rung)
            share = budget / (config.rungs - rung)
            lengths.append(max(1, min(full, int(share / step))))
            budget -= lengths[-1] * step
        return lengths

    def _shadow_flops(self, proposal: Proposal) -> float:
        """Estimate of one shadow step: forward, gradients back to the slot, and the kernel's own."""
        run = self._run
        samples = run.ledger.samples / max(1, run.step)
        rows: float = min(samples, max(SMALLEST_BATCH, run.config.shadow_batch * samples))
        network = run.ledger.forward_flops + proposal.extra_flops
        return rows * (2.0 * network + proposal.candidate.cost.flops)

    def _assemble(self, proposals: list[Proposal], lengths: tuple[int, ...]) -> Race:
        run = self._run
        index = len(run.journal.races)
        randomness = OwnRandomness(run.seed * 1_000 + index + 1, run.device)
        with randomness():
            entrants = [
                enter(p.candidate, p.standing, p.extra_flops, run.device) for p in proposals
            ]
        return self._race(index, run.step, entrants, lengths, randomness)

    def _race(
        self,
        index: int,
        start: int,
        entrants: list[Entrant],
        lengths: tuple[int, ...],
        randomness: OwnRandomness,
    ) -> Race:
        run = self._run
        return Race(
            index=index,
            start=start,
            shadow=Shadow(run.model.wrapped_model),
            entrants=entrants,
            lengths=lengths,
            split=run.split,
            loss_fn=run.loss_fn,
            lr=run.kernel_lr,
            config=run.config,
            randomness=randomness,
            generator=run.generator,
            host_flops=run.ledger.forward_flops,
        )

    def _announce(self, race: Race) -> None:
        self._run.emit(
            RaceStarted(
                step=self._run.step,
                race=race.index,
                layers=tuple(dict.fromkeys(e.slot for e in race.entrants)),
                candidates=race.entered,
                window_steps=sum(race.lengths),
                rungs=len(race.lengths),
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """The race in progress, its entrants as data."""
        race = self.race
        if race is None:
            return {"race": None}
        entrants = [
            {
                "ir": e.candidate.ir.to_json(),
                "entered": entered.model_dump(mode="json"),
                "extra_flops": e.extra_flops,
            }
            for e, entered in zip(race.entrants, race.entered, strict=True)
        ]
        return {
            "race": race.state_dict(),
            "index": race.index,
            "start": race.start,
            "lengths": list(race.lengths),
            "entrants": entrants,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Build the race again and go on where it was."""
        self.race = None
        if state["race"] is None:
            return
        run = self._run
        randomness = OwnRandomness(run.seed, run.device)
        with randomness():
            entrants = [_revive(saved, run) for saved in state["entrants"]]
        self.race = self._race(
            state["index"], state["start"], entrants, tuple(state["lengths"]), randomness
        )
        self.race.load_state_dict(state["race"])


def _revive(saved: dict[str, Any], run: Run) -> Entrant:
    standing = CandidateStanding.model_validate(saved["entered"])
    ir = GraphIR.from_json(saved["ir"])
    candidate = Candidate(
        family=standing.family, size=standing.size, mode=standing.mode, ir=ir, cost=cost(ir)
    )
    return enter(candidate, standing, saved["extra_flops"], run.device)
