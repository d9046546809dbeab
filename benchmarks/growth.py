"""What growth buys: Esper's run beside its controls, on one data set, over several seeds.

    python -m benchmarks.growth mnist1d --seeds 5
    python -m benchmarks.growth fashion-mnist --seeds 3 --arms static,grown

One configuration serves every data set: the default one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.arms import (
    Score,
    Setting,
    best_of_search,
    grown,
    random_growth,
    static,
    static_final,
)
from benchmarks.results import Result, spread
from esper.data.bundle import DataBundle
from esper.data.catalog import build_model, load
from esper.orchestration.growth_config import GrowthConfig

ARMS = ("static", "grown", "final", "random", "search")
LABELS = {
    "static": "static host",
    "grown": "**grown by Esper**",
    "final": "static net of the grown architecture",
    "random": "random slot and blueprint, same schedule",
    "search": "best of random search at equal compute",
}


def narrow_host() -> nn.Module:
    """The MNIST-1D host at width 16."""
    layers = [nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)]
    return nn.Sequential(*layers)


def task(name: str, options: list[str]) -> tuple[DataBundle, Callable[[], nn.Module]]:
    """The data set of a benchmark's name, and the maker of its host."""
    if name == "mnist1d-16":
        return load("mnist1d"), narrow_host
    if name == "fashion-mnist-cnn":
        bundle = load("fashion-mnist")
        return bundle, lambda: build_model("fashion-mnist-cnn", bundle)
    bundle = load(name, **dict(option.split("=", 1) for option in options))
    return bundle, bundle.model


def one_seed(setting: Setting, arms: list[str], config: GrowthConfig) -> dict[str, Score]:
    """Every arm on one seed."""
    scores: dict[str, Score] = {}
    if "static" in arms:
        scores["static"] = static(setting)
    if {"grown", "final", "search"} & set(arms):
        scores["grown"], model = grown(setting, config)
        if "final" in arms:
            scores["final"] = static_final(setting, model)
    if "random" in arms:
        scores["random"] = random_growth(setting, config)
    if "search" in arms:
        scores["search"] = best_of_search(setting, config, scores["grown"].multiple)
    return scores


def main() -> None:
    """Run the benchmark named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", default="mnist1d")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle, make_host = task(arguments.task, arguments.data)
    arms, config = arguments.arms.split(","), GrowthConfig()
    recipe = bundle.recipe
    found: dict[str, list[Score]] = {arm: [] for arm in arms}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        batches = round(0.9 * len(bundle.train)) // recipe.batch_size
        steps = arguments.steps or recipe.steps or (recipe.epochs or 1) * batches
        setting = Setting(bundle, seed, steps, make_host)
        started = time.monotonic()
        for arm, score in one_seed(setting, arms, config).items():
            if arm in found:
                found[arm].append(score)
            print(
                f"seed {seed} {arm:7} {score.test:.4f} at {score.multiple:.2f}x, "
                f"{score.parameters:,} parameters {score.what}",
                flush=True,
            )
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
    publish(arguments.task, bundle, steps, found)


def publish(name: str, bundle: DataBundle, steps: int, found: dict[str, list[Score]]) -> None:
    """Write the table."""
    rows = [
        [
            LABELS[arm],
            spread([s.test for s in scores], 4),
            " / ".join(f"{s.test:.4f}" for s in scores),
            spread([s.multiple for s in scores], 2),
            f"{sum(s.parameters for s in scores) // len(scores):,}",
            "; ".join(dict.fromkeys(s.what for s in scores if s.what)),
        ]
        for arm, scores in found.items()
        if scores
    ]
    seeds = max(len(scores) for scores in found.values())
    notes = [
        (
            f"{bundle.description} {steps:,} steps of batch {bundle.recipe.batch_size}, AdamW "
            f"{bundle.recipe.learning_rate:g}, cosine; {seeds} seeds (host, splits, batches, kernels). "
            "A tenth of the training data is the growth split; no arm learns from it, and the test "
            "split is measured once, at the end of a run. Compute is training FLOPs (host, shadow and "
            "evaluation) as a multiple of the static host's. Default configuration."
        ),
    ]
    columns = ["arm", "test", "by seed", "compute", "parameters", "chosen"]
    Result(f"growth-{name}", f"Growth on {name}", columns, rows, notes).publish()


if __name__ == "__main__":
    main()
