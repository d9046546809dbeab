"""A character language model over any UTF-8 file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import ConfigError, DataError, DataUnavailableError
from esper.data.bundle import DataBundle, Recipe
from esper.data.models.transformer import CausalTransformer
from esper.data.quick_start import DATA_SETS, MODELS
from esper.data.source import DataSource
from esper.data.task import Task

_TEST_SHARE = 0.1
_REMEDY = "name a UTF-8 text file: esper train --quick-start text --set data_args.path=FILE"


@MODELS.register("text-transformer")
def text_transformer(
    *, vocabulary: int, context: int, d_model: int = 64, layers: int = 2, heads: int = 4
) -> nn.Module:
    """A causal transformer for a text's vocabulary and windows of ``context`` characters."""
    return CausalTransformer(vocabulary, context, d_model=d_model, layers=layers, heads=heads)


@DATA_SETS.register("text")
def text(
    source: DataSource, *, path: str | Path | None = None, context: int = 64, stride: int = 16
) -> DataBundle:
    """Windows of ``context`` characters; each position predicts the next character.

    The first nine tenths of the file are the training split (whose own end the trainer holds out
    as growth split), the last tenth is the test, in windows that do not overlap.

    Args:
        source: not looked at; the file is given.
        path: the file.
        context: characters of a window, at least 2.
        stride: distance between the beginnings of neighbouring training windows, a divisor of
            ``context``. Windows are views of one tensor: overlapping ones cost no memory.

    Raises:
        DataUnavailableError: no path was given, or there is no such file.
        DataError: the file is not UTF-8, or too short.
        ConfigError: ``context`` or ``stride`` is out of range.
    """
    del source
    if context < 2 or stride < 1 or context % stride:
        raise ConfigError(
            f"context {context} and stride {stride}: context must be at least 2, and stride one of "
            "its divisors"
        )
    ids, alphabet = _encode(_read(path))
    cut = len(ids) - round(_TEST_SHARE * len(ids))
    train, test = _windows(ids[:cut], context, stride), _windows(ids[cut:], context, context)

    def transformer(*, d_model: int = 64, layers: int = 2, heads: int = 4) -> nn.Module:
        return CausalTransformer(
            len(alphabet), context, d_model=d_model, layers=layers, heads=heads
        )

    return DataBundle(
        name="text",
        train=TensorDataset(*train),
        test=TensorDataset(*test),
        task=Task.LANGUAGE,
        model=transformer,
        recipe=Recipe(steps=3000, batch_size=32, learning_rate=2e-3),
        description=f"{len(ids)} characters, {len(alphabet)} different ones, in windows of "
        f"{context}",
        source=str(path),
        classes=alphabet,
        overlap=context // stride + 1,  # a window's last target lies in the one a context further
        geometry={"vocabulary": len(alphabet), "context": context},
    )


def _read(path: str | Path | None) -> str:
    if path is None:
        raise DataUnavailableError(f"data set 'text' needs a file: {_REMEDY}")
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start}: {error.reason}): convert it first"
        ) from error
    except OSError as error:
        raise DataUnavailableError(
            f"{path} cannot be read ({error.strerror}): {_REMEDY}"
        ) from error


def _encode(content: str) -> tuple[Tensor, tuple[str, ...]]:
    """Character numbers ``(N,)`` and the characters by number."""
    alphabet = tuple(sorted(set(content)))
    number = {character: index for index, character in enumerate(alphabet)}
    return torch.tensor([number[character] for character in content]), alphabet


def _windows(ids: Tensor, context: int, stride: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets ``(N, context)``, views of ``ids``."""
    if len(ids) < 2 * (context + 1):
        raise DataError(
            f"a split of {len(ids)} characters holds fewer than two windows of {context} + 1: use "
            "a longer file or a smaller context"
        )
    windows = ids.unfold(0, context + 1, stride)
    return windows[:, :-1], windows[:, 1:]
