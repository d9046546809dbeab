from __future__ import annotations

from esper.contracts.records import RunStarted, parse_record
from esper.integrations.loggers.figures import figures, flat, hyperparameters
from support import logged_runs


def of(line: logged_runs.Line) -> dict[str, float]:
    return figures(parse_record(line))


def test_a_step_gives_loss_rate_and_the_alpha_of_each_live_seed() -> None:
    assert of(logged_runs.step(20, 0.5)) == {
        "train_loss": 0.5,
        "lr": 0.01,
        "alpha/net.0#0": 0.5,
    }


def test_a_figure_that_was_not_finite_is_left_out() -> None:
    assert "train_loss" not in of(logged_runs.step(30, None))


def test_an_evaluation_gives_growth_figures_and_compute_as_a_multiple() -> None:
    evaluated = next(line for line in logged_runs.lines() if line["type"] == "eval")
    assert of(evaluated) == {"growth_loss": 0.75, "growth_metric": 0.6, "compute": 2.0}


def test_health_is_named_by_layer_and_measurement_and_holds_what_was_measured() -> None:
    assert of(logged_runs.health()) == {"health/net.0/dead_neuron_ratio": 0.25}


def test_a_verdict_gives_the_gain_with_its_interval() -> None:
    assert of(logged_runs.verdict()) == {
        "gain/net.0": 0.3,
        "gain_low/net.0": 0.2,
        "gain_high/net.0": 0.4,
    }


def test_parameters_are_known_at_the_start_after_a_fossil_and_at_the_end() -> None:
    assert of(logged_runs.START) == {"parameters": 100}
    assert of(logged_runs.fossil()) == {"parameters": 120}
    assert of(logged_runs.END)["parameters"] == 120


def test_the_end_gives_the_test_figures() -> None:
    closing = of(logged_runs.END)
    assert (closing["test_loss"], closing["test_metric"], closing["compute"]) == (0.4, 0.9, 2.5)


def test_a_line_without_figures_gives_none() -> None:
    assert of({"type": "interrupted", "step": 3}) == {}


def test_settings_hold_the_whole_configuration() -> None:
    start = parse_record(logged_runs.START)
    assert isinstance(start, RunStarted)
    params = hyperparameters(start)
    assert params["config"] == logged_runs.START["config"]
    assert params["batch_size"] == 8


def test_nested_settings_become_one_level() -> None:
    assert flat({"a": {"b": 1, "c": {"d": True}}, "e": [1, 2], "f": None}) == {
        "a/b": 1,
        "a/c/d": True,
        "e": "[1, 2]",
        "f": "None",
    }
