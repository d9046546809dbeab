from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from esper.cli.work import library_text
from esper.contracts.assets import KernelMetadata
from esper.contracts.enums import KernelMode, Role
from esper.contracts.errors import ConfigError
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


def test_a_choice_is_read_by_its_word_and_a_wrong_one_names_the_nearest() -> None:
    assert library_text.read_choice(Role, "trainer", "--role") is Role.TRAINER
    with pytest.raises(ConfigError, match=r"--role 'trianer'.*Did you mean 'trainer'"):
        library_text.read_choice(Role, "trianer", "--role")


def test_labels_may_hold_an_equals_sign_and_be_empty() -> None:
    assert library_text.read_tags(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    assert library_text.read_tags(["a=1", "a=1"]) == {"a": "1"}


@pytest.mark.parametrize("tags", [["a"], ["=b"], ["a=1", "a=2"]])
def test_labels_that_say_nothing_or_two_things_are_refused(tags: list[str]) -> None:
    with pytest.raises(ConfigError, match="--tag"):
        library_text.read_tags(tags)


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
