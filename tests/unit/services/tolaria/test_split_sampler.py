from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from esper.services.tolaria.split import EpochSampler


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_each_epoch_draws_every_row_at_most_once(
    size: int, batch: int, seed: int, epoch: int
) -> None:
    batch = min(batch, size)
    sampler = EpochSampler(torch.arange(100, 100 + size), batch, seed)
    first = epoch * sampler.batches
    drawn = torch.cat([sampler.rows(first + i) for i in range(sampler.batches)]).tolist()
    assert len(drawn) == len(set(drawn)) == size // batch * batch
    assert set(drawn) <= set(range(100, 100 + size))


def test_rows_depend_on_seed_and_step_alone() -> None:
    rows = torch.arange(50)
    in_order = EpochSampler(rows, 8, seed=1)
    walked = [in_order.rows(step) for step in range(20)]
    for step in (19, 0, 7, 13):
        assert torch.equal(EpochSampler(rows, 8, seed=1).rows(step), walked[step])
    assert not torch.equal(EpochSampler(rows, 8, seed=2).rows(0), walked[0])


def test_epochs_differ() -> None:
    sampler = EpochSampler(torch.arange(64), 64, seed=0)
    assert not torch.equal(sampler.rows(0), sampler.rows(1))
