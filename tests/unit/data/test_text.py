from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esper.contracts.errors import ConfigError, DataError, DataUnavailableError
from esper.data.catalog import build_model, load


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("Die schöne Müllerin träumt. " * 200, encoding="utf-8")
    return path


def test_targets_are_the_next_characters(book: Path) -> None:
    bundle = load("text", path=book, context=16, stride=4)
    x, y = bundle.train.tensors
    content = book.read_text(encoding="utf-8")
    spelled = "".join(bundle.classes[i] for i in x[3])
    assert spelled == content[12:28]
    assert "".join(bundle.classes[i] for i in y[3]) == content[13:29]


def test_splits_are_by_position_and_the_test_windows_do_not_overlap(book: Path) -> None:
    bundle = load("text", path=book, context=16, stride=4)
    x, _ = bundle.test.tensors
    content = book.read_text(encoding="utf-8")
    tail = content[len(content) - round(0.1 * len(content)) :]
    spelled = "".join(bundle.classes[i] for row in x for i in row)
    assert tail.startswith(spelled)
    assert len(tail) - len(spelled) <= 16


def test_windows_an_overlap_apart_share_no_character(book: Path) -> None:
    bundle = load("text", path=book, context=16, stride=4)
    last_target_of_first = 16
    assert bundle.overlap * 4 > last_target_of_first
    assert (bundle.overlap - 1) * 4 <= last_target_of_first


def test_overlapping_windows_cost_no_memory(book: Path) -> None:
    x, y = load("text", path=book, context=16, stride=1).train.tensors
    assert x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    assert x.untyped_storage().nbytes() < 8 * 6000


def test_default_model_is_causal_and_ends_in_the_vocabulary(book: Path) -> None:
    bundle = load("text", path=book)
    model = build_model("text-transformer", bundle).eval()
    ids = bundle.example
    logits = model(ids)
    assert logits.shape == (2, 64, len(bundle.classes))
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % len(bundle.classes)
    assert torch.equal(model(changed)[:, :-1], logits[:, :-1])
    assert bundle.measure.name == "bits per character"
    torch.testing.assert_close(
        bundle.measure(torch.zeros_like(logits), ids),
        torch.log2(torch.tensor(float(len(bundle.classes)))),
    )


def test_no_file_is_an_error_with_the_remedy() -> None:
    with pytest.raises(DataUnavailableError, match=r"--set data_args\.path=FILE"):
        load("text")


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"nowhere\.txt"):
        load("text", path=tmp_path / "nowhere.txt")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("schön".encode("latin-1") * 100)
    with pytest.raises(DataError, match="not UTF-8 text"):
        load("text", path=path)


def test_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("abc" * 30, encoding="utf-8")
    with pytest.raises(DataError, match="longer file"):
        load("text", path=path)


@pytest.mark.parametrize("options", [{"context": 1}, {"stride": 0}, {"context": 16, "stride": 5}])
def test_window_options_out_of_range_are_refused(book: Path, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="divisors"):
        load("text", path=book, **options)
