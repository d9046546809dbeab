from __future__ import annotations

import gc
from contextlib import suppress

from esper.utils.collecting import collecting_later, settle


def test_the_collector_rests_within_the_block_and_is_as_before_after_it() -> None:
    assert gc.isenabled()
    with collecting_later():
        assert not gc.isenabled()
        with collecting_later():
            pass
        assert not gc.isenabled(), "the inner block leaves it as it was"
    assert gc.isenabled()


def test_an_error_within_the_block_does_not_leave_it_resting() -> None:
    with suppress(KeyError), collecting_later():
        raise KeyError
    assert gc.isenabled()


def test_what_exists_is_out_of_the_collectors_sight() -> None:
    kept = [[]]
    before = gc.get_freeze_count()
    try:
        settle()
        assert gc.get_freeze_count() > before
        assert not any(one is kept for one in gc.get_objects())
    finally:
        gc.unfreeze()
