from __future__ import annotations

from random import Random

from esper.utils.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_start_again_after_a_success() -> None:
    backoff = Backoff(1.0, 8.0, Random(0))
    pauses = [backoff.failed() for _ in range(2000)]
    for pause, whole in zip(pauses, [1, 2, 4, 8, 8, 8], strict=False):
        assert whole / 2 <= pause <= whole
    assert max(pauses) <= 8.0
    backoff.succeeded()
    assert backoff.failed() <= 1.0


def test_two_workers_do_not_pause_alike() -> None:
    first, second = (Backoff(1.0, 8.0, Random(name)) for name in ("forge-0", "forge-1"))
    assert first.failed() != second.failed()
