"""A nursery in this process that answers late: the port `Nursery` without a worker."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence

from esper.contracts.errors import TrainingError
from esper.orchestration.nursery import Batch, Mark, Progress, Trouble, answer
from esper.orchestration.race import Race


class LateNursery:
    """Answers so many steps after it was told.

    Args:
        lag: host steps from a mark to its answer.
        dies_after: marks after which a race ends with trouble; None never.
        refuses: whether races are not taken at all.
    """

    def __init__(
        self, lag: int = 0, *, dies_after: int | None = None, refuses: bool = False
    ) -> None:
        self.lag = lag
        self.dies_after = dies_after
        self.refuses = refuses
        self.wards: list[LateWard] = []

    def check(self, parts: Mapping[str, object]) -> None:
        assert set(parts) == {"model", "loss_fn", "metric"}

    def take(self, race: Race) -> LateWard:
        if self.refuses:
            raise TrainingError("there is no room")
        self.wards.append(LateWard(copy.deepcopy(race), self))
        return self.wards[-1]


class LateWard:
    """One race of it."""

    def __init__(self, race: Race, nursery: LateNursery) -> None:
        self._race = race
        self._nursery = nursery
        self._due: deque[tuple[int, Progress | Trouble]] = deque()
        self._asked = self._marks = 0
        self.is_over = self.is_abandoned = False

    def send(self, news: Batch | Mark) -> None:
        if self.is_over:
            return
        if isinstance(news, Mark):
            live = {name: tensor.clone() for name, tensor in news.live.items()}
            news = Mark(news.step, live)
            self._marks += 1
            dies_after = self._nursery.dies_after
            if dies_after is not None and self._marks > dies_after:
                self._tell(Trouble("the worker process ended (killed by SIGKILL)"))
                return
        found = answer(self._race, news)
        if found is not None:
            self._tell(found)

    def _tell(self, news: Progress | Trouble) -> None:
        self.is_over = isinstance(news, Trouble) or news.outcome is not None
        self._due.append((self._asked + self._nursery.lag, news))

    def news(self) -> Sequence[Progress | Trouble]:
        self._asked += 1
        found = []
        while self._due and self._due[0][0] < self._asked:
            found.append(self._due.popleft()[1])
        return found

    def abandon(self) -> None:
        self.is_abandoned = True
