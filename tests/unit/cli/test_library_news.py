"""What a run says about its library."""

from __future__ import annotations

from esper.cli.library_news import delivered, entered
from esper.contracts.records import KernelsDelivered, KernelsEntered


def library(*entered: str, trouble: str | None = None) -> KernelsEntered:
    return KernelsEntered(step=0, entered=entered, trouble=trouble)


def test_kernels_that_may_race_are_counted_and_a_failure_is_named() -> None:
    assert entered(library("ab" * 32)) == "1 kernel of the library may enter races"
    told = entered(library(trouble="nobody answers"))
    assert told.startswith("0 kernels")
    assert "(nobody answers), the run goes on without it" in told


def test_what_the_library_took_refused_and_left_is_told() -> None:
    assert delivered(KernelsDelivered()) == "there was nothing for the library"
    assert (
        delivered(KernelsDelivered(kernels=1, reports=2))
        == "the library took 1 kernel and 2 reports"
    )
    assert "it refused 1" in delivered(KernelsDelivered(reports=1, refused=1))
    waiting = delivered(KernelsDelivered(left=3, trouble="it is away"))
    assert waiting.startswith("the library took nothing; 3 left in the outbox (it is away)")
    assert "--send" in waiting
