"""Racing: opens a race that the budget can bear, runs it, and says how it ended."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from esper.blueprints.cost import cost
from esper.blueprints.ir import GraphIR
from esper.blueprints.library.catalog import CONTROL, Candidate
from esper.contracts.enums import Verdict
from esper.contracts.errors import TrainingError
from esper.contracts.events import AdaptationDecided, RaceDecided, RaceStarted, RungFinished
from esper.contracts.growth import CandidateStanding, GrowthDecision, RaceRecord
from esper.contracts.operational import AdaptationDecision
from esper.orchestration.compute_ledger import PROBE_SAMPLES
from esper.orchestration.counterfactual import call_model
from esper.orchestration.entrant import Entrant, enter
from esper.orchestration.jury import Outcome
from esper.orchestration.nursery import Batch, Follow, Mark, Nursery, Trouble, Ward
from esper.orchestration.proposals import Proposal, Stand, propose
from esper.orchestration.race import SMALLEST_BATCH, Race
from esper.orchestration.run import Run
from esper.orchestration.shadow import OwnRandomness, Shadow, tensors
from esper.orchestration.strategies import STRATEGIES

FIRST_RUNG = 0.8
"""Share of the scouting budget that the first rung, with everybody in it, may use."""
SHORTEST = 0.7
"""Share of a full rung that the first one must have, as long as challengers can be left out."""
_TIMINGS = 7
FEWEST = 2
"""Challengers below which half of that has to do."""


class Racing:
    """The races of one run, one at a time."""

    def __init__(self, run: Run, nursery: Nursery | None = None) -> None:
        self._run = run
        self._nursery = nursery
        self._ward: Ward | None = None
        """The race, where somebody else holds it."""
        self.race: Race | None = None
        """The race; of one that is held elsewhere, what is known of it here."""

    def open(self, decision: AdaptationDecision) -> None:
        """Start the race that a controller asked for, if any blueprint fits and is affordable."""
        run = self._run
        run.emit(AdaptationDecided(step=run.step, decision=decision))
        slots = {
            name: layer.geometry
            for name, layer in run.open_slots().items()
            if layer.geometry is not None and (not decision.layers or name in decision.layers)
        }
        strategy = STRATEGIES.lookup(decision.strategy)()
        proposals = propose(
            slots,
            strategy,
            run.blueprints,
            self._stand(),
            run.config,
            families=decision.families,
        )
        first, proposals = self._affordable(proposals)
        run.last_race = run.step
        if not first:
            reason = f"{decision.reason}; but no blueprint fits the layers, limits and budget"
            run.decide(
                GrowthDecision(
                    step=run.step,
                    verdict=Verdict.DECLINE,
                    candidate=None,
                    evidence=None,
                    reason=reason,
                )
            )
            return
        self.race = self._assemble(proposals, first)
        self._announce(self.race)
        if self._nursery is not None:
            try:
                self._ward = self._nursery.take(self.race)
            except TrainingError as error:
                self.call_off(str(error))

    def step(self, x: Any, y: Any, pace: float) -> Outcome | None:
        """Train everybody on the batch; at a mark, judge. Returns how the race ended, once.

        Arguments as for `Race.train`.
        """
        run, race = self._run, self.race
        assert race is not None
        if self._ward is not None:
            return self._step_elsewhere(race, self._ward, Batch(*race.share(x, y), pace))
        if race.follows:
            race.shadow.refresh(tensors(run.model.wrapped_model))
        before = race.flops
        race.train(x, y, pace)
        run.ledger.shadow += race.flops - before
        if not race.is_due:
            return None
        before = race.evaluated
        outcome = race.mark(run.step, tensors(run.model.wrapped_model))
        run.ledger.evaluation += race.evaluated - before
        self._conclude_rung(race, outcome)
        return outcome

    def _step_elsewhere(self, race: Race, ward: Ward, batch: Batch) -> Outcome | None:
        """Take in what has come back, and send what is due."""
        run = self._run
        for news in ward.news():
            if isinstance(news, Trouble):
                self.call_off(news.reason)
                return None
            run.ledger.shadow += news.flops - race.flops
            run.ledger.evaluation += news.evaluated - race.evaluated
            race.flops, race.evaluated = news.flops, news.evaluated
            race.rungs.append(news.rung)
            self._conclude_rung(race, news.outcome)
            if news.outcome is not None:
                return news.outcome
        if race.steps < race.full * race.most_rungs:
            if race.follows:
                ward.send(Follow(tensors(run.model.wrapped_model)))
            race.steps += 1
            ward.send(batch)
            if race.steps % race.full == 0:
                ward.send(Mark(run.step, tensors(run.model.wrapped_model)))
        return None

    def _conclude_rung(self, race: Race, outcome: Outcome | None) -> None:
        rung = race.rungs[-1]
        self._run.emit(
            RungFinished(
                step=rung.step,
                race=race.index,
                rung=len(race.rungs) - 1,
                standings=rung.standings,
            )
        )
        if outcome is not None:
            self._ward = None
            self._close(race.record(self._run.step), outcome)

    def call_off(self, reason: str = "the run ended before the race did") -> None:
        """A race that is still on has no winner."""
        ward, self._ward = self._ward, None
        if ward is not None:
            ward.abandon()
        if self.race is not None:
            record = self.race.record(self._run.step)
            self._close(record, Outcome(None, None, None, None, None, reason))

    def _close(self, record: RaceRecord, outcome: Outcome) -> None:
        run = self._run
        self.race = None
        run.last_race = run.step
        winner = outcome.winner
        run.journal.races.append(record)
        run.blueprints.learn(record, None if winner is None else winner.standing.family)
        best = outcome.best
        run.emit(
            RaceDecided(
                step=run.step,
                race=record.index,
                winner=None if winner is None else winner.standing,
                standings=record.rungs[-1].standings if record.rungs else (),
                reason=outcome.reason,
            )
        )
        run.decide(
            GrowthDecision(
                step=run.step,
                verdict=Verdict.DECLINE if winner is None else Verdict.GRAFT,
                candidate=None if best is None else best.standing,
                evidence=outcome.evidence,
                against_control=outcome.against_control,
                rent=0.0 if best is None else best.standing.rent,
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

    def _affordable(self, proposals: list[Proposal]) -> tuple[int, list[Proposal]]:
        """Steps of a first rung within the scouting budget, and who can be in it.

        Challengers at the end of the list are left out until the rung is long enough to mean
        something. Zero steps when the budget cannot bear any race.
        """
        full = self._run.span(self._run.config.rung)
        budget = FIRST_RUNG * self._left(self._run.config.scout_compute)
        challengers = [p for p in proposals if p.standing.family != CONTROL]
        controls = {p.standing.layer_name: p for p in proposals if p.standing.family == CONTROL}
        while challengers:
            slots = dict.fromkeys(p.standing.layer_name for p in challengers)
            field = [*challengers, *(controls[s] for s in slots)]
            steps = min(full, int(budget / max(1.0, sum(map(self._shadow_flops, field)))))
            enough = SHORTEST if len(challengers) > FEWEST else SHORTEST / 2
            if steps >= enough * full:
                return steps, field
            challengers.pop()
        return 0, []

    def _left(self, compute: float) -> float:
        """What is left of a compute budget, in FLOPs."""
        return compute * self._run.base_flops() - self._run.ledger.shadow

    def _shadow_flops(self, proposal: Proposal) -> float:
        """Estimate of one shadow step: a forward pass, and two backward from the slot on."""
        run = self._run
        samples = run.ledger.given / max(1, run.step)
        rows: float = min(samples, max(SMALLEST_BATCH, run.config.shadow_batch * samples))
        network = run.ledger.forward_flops + proposal.extra_flops
        return rows * 3.0 * network

    def _assemble(self, proposals: list[Proposal], first: int) -> Race:
        run = self._run
        index = len(run.journal.races)
        randomness = OwnRandomness(run.seed * 1_000 + index + 1, run.device)
        shadow = self._shadow()
        run.ledger.charge_evaluation(PROBE_SAMPLES)  # it ran once, to see its layers' order
        with randomness():
            entrants = [
                enter(p.candidate, p.standing, p.extra_flops, shadow, p.kernel) for p in proposals
            ]
        entrants = self._fast_enough(shadow, entrants)
        return self._race(index, run.step, shadow, entrants, first, randomness)

    def _fast_enough(self, shadow: Shadow, entrants: list[Entrant]) -> list[Entrant]:
        """The entrants within the latency limit; a challenger over it does not compete."""
        limit = self._run.config.limits.max_latency_us
        if limit is None:
            return entrants
        batch, clock = self._run.split.probe(PROBE_SAMPLES)[0], self._run.clock
        fast = []
        for entrant in entrants:
            kernel, mode = entrant.kernel.eval(), entrant.standing.mode
            with torch.no_grad(), shadow.standing_in(entrant.slot, kernel, mode, {}) as model:
                latency = _median_seconds(partial(call_model, model, batch), clock)
            calls = 1 + _TIMINGS
            self._run.ledger.charge_evaluation(calls * PROBE_SAMPLES, entrant.extra_flops)
            kernel.train()
            if entrant.is_control or latency * 1e6 <= limit:
                fast.append(entrant)
        return fast

    def _shadow(self) -> Shadow:
        return Shadow(self._run.model.wrapped_model, self._run.split.probe(PROBE_SAMPLES)[0])

    def _race(
        self,
        index: int,
        start: int,
        shadow: Shadow,
        entrants: list[Entrant],
        first: int,
        randomness: OwnRandomness,
    ) -> Race:
        run = self._run
        return Race(
            index=index,
            start=start,
            shadow=shadow,
            entrants=entrants,
            first=first,
            full=run.span(run.config.rung),
            scouting=self._left(run.config.scout_compute),
            allowance=self._left(run.config.race_compute),
            split=run.split,
            loss_fn=run.loss_fn,
            lr=run.kernel_lr,
            config=run.config,
            randomness=randomness,
            seed=run.seed,
            host_flops=run.ledger.forward_flops,
        )

    def _announce(self, race: Race) -> None:
        self._run.emit(
            RaceStarted(
                step=self._run.step,
                race=race.index,
                layers=tuple(dict.fromkeys(e.slot for e in race.entrants)),
                candidates=race.entered,
                window_steps=self._run.config.rungs * race.full,
                rungs=self._run.config.rungs,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """The race in progress, its entrants as data."""
        race = self.race
        if race is None or self._ward is not None:
            lost = None if race is None else race.record(self._run.step).model_dump(mode="json")
            return {"race": None, "elsewhere": lost}
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
            "first": race.first,
            "scouting": race.scouting,
            "allowance": race.allowance,
            "host_flops": race.host_flops,
            "entrants": entrants,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Build the race again and go on where it was.

        What was raised elsewhere is not in a checkpoint: such a race is called off.
        """
        if self._ward is not None:
            self._ward.abandon()
        self.race = self._ward = None
        if state.get("elsewhere") is not None:
            record = RaceRecord.model_validate(state["elsewhere"])
            reason = "the run was resumed; a race in another process is not part of a checkpoint"
            self._close(record, Outcome(None, None, None, None, None, reason))
        if state["race"] is None:
            return
        run = self._run
        randomness, shadow = OwnRandomness(run.seed, run.device), self._shadow()
        with randomness():
            entrants = [_revive(saved, shadow) for saved in state["entrants"]]
        self.race = self._race(
            state["index"], state["start"], shadow, entrants, state["first"], randomness
        )
        for name in ("scouting", "allowance", "host_flops"):
            setattr(self.race, name, state[name])
        self.race.load_state_dict(state["race"])


def _median_seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Median time of a few calls, after one that is not counted."""
    call()
    times = []
    for _ in range(_TIMINGS):
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times)


def _revive(saved: dict[str, Any], shadow: Shadow) -> Entrant:
    standing = CandidateStanding.model_validate(saved["entered"])
    ir = GraphIR.from_json(saved["ir"])
    candidate = Candidate(
        family=standing.family, size=standing.size, mode=standing.mode, ir=ir, cost=cost(ir)
    )
    return enter(candidate, standing, saved["extra_flops"], shadow)
