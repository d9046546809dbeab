from __future__ import annotations

from dataclasses import replace

from esper.contracts.records import parse_record
from esper.dashboard.run_comparison import differing_settings, figures
from esper.report.run_account import RunAccount
from support import told_runs

ONE = told_runs.summary(test_metric=0.9, test_loss=0.3, compute=2.0)
TWO = told_runs.summary(test_metric=0.95, test_loss=0.4, compute=3.0)


def best(label: str, *, higher: bool = True) -> list[bool]:
    runs = [run.model_copy(update={"higher_is_better": higher}) for run in (ONE, TWO)]
    return [is_best for _, _, is_best in dict(figures(runs))[label]]


def test_the_better_value_is_marked_whichever_direction_is_better() -> None:
    assert best("Test accuracy") == [False, True]
    assert best("Test accuracy", higher=False) == [True, False]
    assert best("Test loss") == [True, False]


def test_nothing_is_best_where_better_means_nothing_or_all_are_alike() -> None:
    assert best("Compute, against the model as given") == [False, False]
    alike = figures([ONE, ONE])
    assert not any(is_best for _, cells in alike for _, _, is_best in cells)


def test_a_figure_that_is_not_known_is_left_open() -> None:
    assert dict(figures([told_runs.summary()]))["Test loss"] == [(None, "—", False)]


def test_only_settings_that_differ_are_listed_by_their_dotted_name() -> None:
    def run(**config: object) -> RunAccount:
        start = told_runs.start(config={"seed": 0, "grow": True, **config})
        return replace(told_runs.account(), lines=(parse_record(start),))

    one = run(optimizer={"lr": 0.1, "name": "adamw"}, output="/runs/one")
    two = run(optimizer={"lr": 0.2, "name": "adamw"}, output="/runs/two")
    assert differing_settings([one, two]) == [("optimizer.lr", ["0.1", "0.2"])]
    assert differing_settings([one, run()]) == [
        ("optimizer.lr", ["0.1", "—"]),
        ("optimizer.name", ["adamw", "—"]),
    ]
