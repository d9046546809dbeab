from __future__ import annotations

import pytest

from esper.cli.options import read_choice, read_optional, read_tags, refuse
from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError


def test_a_choice_is_read_by_its_word_and_a_wrong_one_names_the_nearest() -> None:
    assert read_choice(Role, "trainer", "--role") is Role.TRAINER
    with pytest.raises(ConfigError, match=r"--role 'trianer'.*Did you mean 'trainer'"):
        read_choice(Role, "trianer", "--role")


def test_labels_may_hold_an_equals_sign_and_be_empty() -> None:
    assert read_tags(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    assert read_tags(["a=1", "a=1"]) == {"a": "1"}


@pytest.mark.parametrize("tags", [["a"], ["=b"], ["a=1", "a=2"]])
def test_labels_that_say_nothing_or_two_things_are_refused(tags: list[str]) -> None:
    with pytest.raises(ConfigError, match="--tag"):
        read_tags(tags)


def test_what_was_not_typed_is_no_choice() -> None:
    assert read_optional(Role, None, "--role") is None
    assert read_optional(Role, "admin", "--role") is Role.ADMIN


def test_options_that_would_not_be_used_are_refused_by_name() -> None:
    refuse("only with --send", urza=None, dry_run=False)
    with pytest.raises(ConfigError, match="--urza, --dry-run: only with --send"):
        refuse("only with --send", urza="http://a", dry_run=True)
