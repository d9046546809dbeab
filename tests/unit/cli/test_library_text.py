from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from esper.cli import library_text
from esper.cli.library_text import delivered, entered
from esper.contracts.assets import KernelMetadata
from esper.contracts.enums import KernelMode
from esper.contracts.library import KernelRecord, Page, Signature
from esper.contracts.records import KernelsDelivered, KernelsEntered

RECORD = KernelRecord(
    metadata=KernelMetadata(
        kernel_id="ab" * 32,
        blueprint="low-rank/small",
        mode=KernelMode.RESIDUAL,
        input_shape=(None, 40),
        output_shape=(None, 100),
        parameters=12_345,
        flops=1,
        esper_version="0",
    ),
    size_bytes=1,
    stored_at=datetime.now(tz=UTC),
)


def test_a_kernel_is_told_by_what_is_known_about_it() -> None:
    assert library_text.kernel_facts(RECORD) == [
        "low-rank/small, residual, any host ?x40 → ?x100",
        "12,345 parameters",
        "candidate",
    ]
    known = RECORD.model_copy(
        update={
            "host": "linear",
            "latency_us": 41.6,
            "proven_gain": 0.25,
            "field_reports": 1,
            "signatures": (Signature(key_id="0123456789abcdef", value="0" * 128),),
            "tags": {"task": "mnist1d"},
        }
    )
    text = ", ".join(library_text.kernel_facts(known))
    for part in ("linear", "42 µs", "0.250", "1 field report,", "0123456789abcdef", "task=mnist1d"):
        assert part in text


def test_an_id_stands_alone_on_its_line_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    library_text.print_kernel(Console(width=20), RECORD)
    assert capsys.readouterr().out.splitlines()[0] == "ab" * 32


def test_a_list_that_comes_in_pages_is_collected_up_to_its_limit() -> None:
    def page(cursor: str | None, size: int) -> Page[int]:
        begin = int(cursor or 0)
        end = min(250, begin + size)
        return Page(items=tuple(range(begin, end)), next_cursor=str(end) if end < 250 else None)

    assert library_text.collect(page) == list(range(250))
    assert library_text.collect(page, 120) == list(range(120))
    assert library_text.collect(page, 9_999) == list(range(250))


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
