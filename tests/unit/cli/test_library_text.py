from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from esper.cli import library_text
from esper.contracts.assets import KernelMetadata
from esper.contracts.enums import KernelMode
from esper.contracts.library import KernelRecord, Signature

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
