from __future__ import annotations

import pytest

from esper.cli.main import complete_resume


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["train", "--resume"], ["train", "--resume=newest"]),
        (["train", "--resume", "--verbose"], ["train", "--resume=newest", "--verbose"]),
        (["train", "--resume", "runs/a"], ["train", "--resume", "runs/a"]),
        (["train", "--resume=runs/a"], ["train", "--resume=runs/a"]),
        (["doctor"], ["doctor"]),
    ],
)
def test_resume_without_a_folder_means_the_newest_run(typed: list[str], read: list[str]) -> None:
    assert complete_resume(typed) == read
