"""What a run says about its library."""

from __future__ import annotations

from typing import Any

from esper.cli.library_news import delivered, entered


def delivery(**given: Any) -> dict[str, Any]:
    return {"kernels": 0, "reports": 0, "refused": 0, "left": 0, "trouble": None, **given}


def test_kernels_that_may_race_are_counted_and_a_failure_is_named() -> None:
    assert entered({"entered": ["a"], "trouble": None}) == "1 kernel of the library may enter races"
    told = entered({"entered": [], "trouble": "nobody answers"})
    assert told.startswith("0 kernels")
    assert "(nobody answers), the run goes on without it" in told


def test_what_the_library_took_refused_and_left_is_told() -> None:
    assert delivered(delivery()) == "there was nothing for the library"
    assert delivered(delivery(kernels=1, reports=2)) == "the library took 1 kernel and 2 reports"
    assert "it refused 1" in delivered(delivery(reports=1, refused=1))
    waiting = delivered(delivery(left=3, trouble="it is away"))
    assert waiting.startswith("the library took nothing; 3 left in the outbox (it is away)")
    assert "--send" in waiting
