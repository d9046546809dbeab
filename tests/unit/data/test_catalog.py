from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from esper.contracts.errors import ConfigError, DataUnavailableError, RegistryError
from esper.data.catalog import build_model, data_set_names, load
from esper.data.quick_start import MODELS
from esper.data.source import DataSource, require_package


def test_every_quick_start_of_the_documents_is_known() -> None:
    assert data_set_names() == (
        "breast-cancer",
        "cifar10",
        "cifar100",
        "digits",
        "fashion-mnist",
        "mnist1d",
        "text",
    )


def test_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(RegistryError, match="'mnist1d'"):
        load("mnist-1d")


def test_unknown_option_is_refused_by_name(source: DataSource) -> None:
    with pytest.raises(ConfigError, match="takes no option 'widht'"):
        load("digits", source=source, widht=3)


@pytest.mark.parametrize(
    ("name", "features", "train", "test", "classes"),
    [("digits", 64, 1438, 359, 10), ("breast-cancer", 30, 456, 113, 2)],
)
def test_tables_have_a_fixed_stratified_test_split(
    name: str, features: int, train: int, test: int, classes: int, source: DataSource
) -> None:
    bundle, again = load(name, source=source), load(name, source=source)
    assert bundle.train.tensors[0].shape == (train, features)
    assert bundle.test.tensors[0].shape == (test, features)
    assert torch.equal(bundle.test.tensors[0], again.test.tensors[0])
    shares = [
        d.tensors[1].bincount(minlength=classes) / len(d) for d in (bundle.train, bundle.test)
    ]
    torch.testing.assert_close(shares[0], shares[1], atol=0.01, rtol=0)
    assert bundle.model()(bundle.example).shape == (2, classes)
    assert len(bundle.classes) == classes


def test_mnist1d_is_generated_cached_and_leaves_global_randomness_alone(
    source: DataSource, capsys: pytest.CaptureFixture[str]
) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the package uses this generator
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - as above
    generated = load("mnist1d", source=source)
    after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - as above
    assert after == before
    (cached,) = (source.cache / "mnist1d").iterdir()
    stamp = cached.stat().st_mtime_ns
    again = load("mnist1d", source=source)
    assert cached.stat().st_mtime_ns == stamp
    assert torch.equal(generated.train.tensors[0], again.train.tensors[0])
    assert generated.train.tensors[0].shape == (4000, 40)
    assert generated.test.tensors[0].shape == (1000, 40)
    assert generated.train.tensors[0].dtype == torch.float32
    assert generated.model()(generated.example).shape == (2, 10)
    assert capsys.readouterr() == ("", "")


def test_damaged_mnist1d_cache_is_generated_again(source: DataSource) -> None:
    first = load("mnist1d", source=source)
    (cached,) = (source.cache / "mnist1d").iterdir()
    cached.write_bytes(cached.read_bytes()[:-5000])
    again = load("mnist1d", source=source)
    assert torch.equal(first.train.tensors[0], again.train.tensors[0])


def test_mnist1d_of_another_width_is_an_option_of_the_model(source: DataSource) -> None:
    bundle = load("mnist1d", source=source)
    model = build_model("mnist1d-mlp", bundle, hidden=(16, 16))
    assert sum(p.numel() for p in model.parameters()) == 40 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10


def test_missing_package_is_an_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataUnavailableError, match=r"pip install 'esper-morphogenetic\[data\]'"):
        require_package("sklearn.datasets", data_set="x")


def test_fashion_mnist_of_the_system_package_is_the_published_one() -> None:
    try:
        bundle = load("fashion-mnist")
    except DataUnavailableError:
        pytest.skip("Fashion-MNIST is not on this machine and cannot be fetched")
    x, y = bundle.train.tensors
    assert x.shape == (60_000, 1, 28, 28)
    assert y.bincount().tolist() == [6000] * 10
    assert abs(float(x.mean())) < 1e-3
    for name in ("fashion-mnist-mlp", "fashion-mnist-cnn"):
        assert build_model(name, bundle)(bundle.example).shape == (2, 10)


def test_every_model_of_a_quick_start_is_registered_under_its_name() -> None:
    assert set(MODELS) >= {"mnist1d-mlp", "fashion-mnist-cnn", "text-transformer"}


def test_folders_are_looked_in_from_the_named_one_to_the_system(tmp_path: Path) -> None:
    source = DataSource(root=tmp_path / "a", cache=tmp_path / "b", system=(tmp_path / "c",))
    (tmp_path / "c" / "set").mkdir(parents=True)
    (tmp_path / "c" / "set" / "file").touch()
    assert source.find("set", ("file",)) == tmp_path / "c" / "set"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    assert source.find("set", ("file",)) == tmp_path / "a"
    assert source.find("set", ("file", "other")) is None
