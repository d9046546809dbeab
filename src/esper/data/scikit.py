"""Two tables that scikit-learn ships: 8x8 digits, and breast-cancer measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn
from torch.utils.data import TensorDataset

from esper.data.bundle import DataBundle, Recipe
from esper.data.models.mlp import mlp
from esper.data.prepare import standardise, stratified_split, tensor
from esper.data.quick_start import DATA_SETS, MODELS
from esper.data.source import DataSource, require_package
from esper.data.task import Task

_TEST_SHARE = 0.2
_SPLIT_SEED = 20_261_121  # the test split is the same in every run, whatever the run's seed


@MODELS.register("digits-mlp")
def digits_mlp(*, hidden: Sequence[int] = (64, 64)) -> nn.Module:
    """MLP 64-64-64-10; ``hidden`` sets other widths."""
    return mlp(64, hidden, 10)


@MODELS.register("breast-cancer-mlp")
def breast_cancer_mlp(*, hidden: Sequence[int] = (32, 32)) -> nn.Module:
    """MLP 30-32-32-2; ``hidden`` sets other widths."""
    return mlp(30, hidden, 2)


@DATA_SETS.register("digits")
def digits(source: DataSource) -> DataBundle:
    """UCI optical digits: 1,797 images of 8x8 pixels as 64 features.

    Raises:
        DataUnavailableError: scikit-learn is not installed.
    """
    del source  # shipped by the package
    recipe = Recipe(steps=1500, batch_size=64, learning_rate=2e-3)
    return _table("digits", "load_digits", "8x8 digits as 64 features", digits_mlp, recipe)


@DATA_SETS.register("breast-cancer")
def breast_cancer(source: DataSource) -> DataBundle:
    """Wisconsin diagnostic breast cancer: 569 samples of 30 measurements.

    Raises:
        DataUnavailableError: scikit-learn is not installed.
    """
    del source  # shipped by the package
    recipe = Recipe(steps=1000, batch_size=32, learning_rate=1e-3)
    what = "30 measurements, two classes"
    return _table("breast-cancer", "load_breast_cancer", what, breast_cancer_mlp, recipe)


def _table(
    name: str, loader: str, what: str, model: Callable[[], nn.Module], recipe: Recipe
) -> DataBundle:
    module = require_package("sklearn.datasets", data_set=name)
    table = getattr(module, loader)()
    x, y = tensor(table.data), tensor(table.target).long()
    kept, held_out = stratified_split(y, _TEST_SHARE, _SPLIT_SEED)
    x_train, x_test = standardise(x[kept], x[held_out])
    return DataBundle(
        name=name,
        train=TensorDataset(x_train, y[kept]),
        test=TensorDataset(x_test, y[held_out]),
        task=Task.CLASSIFICATION,
        model=model,
        recipe=recipe,
        description=f"{what}; {len(kept)} to learn from, {len(held_out)} for the test",
        source="shipped by the package scikit-learn",
        classes=tuple(str(n) for n in table.target_names),
    )
