"""What a trainer and its nursery's worker say to each other, as bytes.

Both are one program of one user on one machine, so the bytes may be pickles: they come through a
pipe that nobody else has. Batches and marks, of which there are many, spare torch's own way of
pickling tensors, which costs more than a small model's step.
"""

from __future__ import annotations

import io
import pickle
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from esper.orchestration.jury import Outcome
from esper.orchestration.nursery import News, Progress, Trouble
from esper.orchestration.race import Race


class Kind(Enum):
    """The first byte of a message. Eight bytes with the race's number follow, then the rest."""

    RACE = b"R"
    """A race begins; the one before is forgotten."""
    NEWS = b"N"
    """A batch or a mark for it."""
    ANSWER = b"A"
    """What the worker has to say of it."""


_HEADER = struct.Struct("<cQ")


@dataclass(frozen=True)
class Surroundings:
    """Settings of a process that the last bits of a result depend on."""

    threads: int
    deterministic: bool
    precision: str
    default_dtype: torch.dtype
    cudnn: tuple[bool, bool, bool]

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        cudnn = torch.backends.cudnn
        return cls(
            threads=torch.get_num_threads(),
            deterministic=torch.are_deterministic_algorithms_enabled(),
            precision=torch.get_float32_matmul_precision(),
            default_dtype=torch.get_default_dtype(),
            cudnn=(cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32),
        )

    def apply(self) -> None:
        """Make them those of this process."""
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(self.deterministic)
        torch.set_float32_matmul_precision(self.precision)
        torch.set_default_dtype(self.default_dtype)
        cudnn = torch.backends.cudnn
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = self.cudnn


@dataclass(frozen=True)
class Opening:
    """A race that begins, with the settings that it was opened under."""

    race: Race
    surroundings: Surroundings
    traceparent: str | None = None
    """The adaptation that the race is a part of, for whoever traces."""


def pack_opening(number: int, opening: Opening) -> bytes:
    """A race as bytes; parameters that parts of it share stay shared."""
    return _HEADER.pack(Kind.RACE.value, number) + _save(opening)


def pack_news(number: int, news: News) -> bytes:
    """A batch, a mark or the model as it is now, as bytes."""
    buffer = io.BytesIO()
    buffer.write(_HEADER.pack(Kind.NEWS.value, number))
    _Pickler(buffer, protocol=5).dump(news)
    return buffer.getvalue()


def pack_answer(number: int, news: Progress | Trouble) -> bytes:
    """An answer as bytes. A winner leaves behind what only the race needed."""
    if isinstance(news, Progress) and news.outcome is not None:
        _forget_the_race(news.outcome)
    return _HEADER.pack(Kind.ANSWER.value, number) + _save(news)


def header(data: bytes) -> tuple[Kind, int]:
    """Kind of a message, and number of the race that it is about."""
    kind, number = _HEADER.unpack_from(data)
    return Kind(kind), number


def unpack(data: bytes) -> Any:
    """What one of the packing functions was given: an opening, news or an answer."""
    body = io.BytesIO(memoryview(data)[_HEADER.size :])
    if header(data)[0] is Kind.NEWS:
        return pickle.load(body)  # noqa: S301  # from our own parent, through its own pipe
    return torch.load(body, weights_only=False)


def _save(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _forget_the_race(outcome: Outcome) -> None:
    for entrant in (outcome.winner, outcome.best):
        if entrant is not None:
            entrant.optimizer.state.clear()
            entrant.optimizer.zero_grad(set_to_none=True)


class _Pickler(pickle.Pickler):
    """Writes plain tensors as their bytes."""

    def reducer_override(self, value: object) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        plain = value.detach()
        if plain.layout is not torch.strided or not plain.is_contiguous():
            return NotImplemented  # torch keeps the strides, on which the last bits may depend
        flat = plain.cpu().reshape(-1).view(torch.uint8).numpy()
        return _tensor, (flat.tobytes(), value.dtype, tuple(value.shape), str(value.device))


def _tensor(data: bytes, dtype: torch.dtype, shape: tuple[int, ...], device: str) -> Tensor:
    if not data:
        return torch.empty(shape, dtype=dtype, device=device)
    # A copy: torch's own memory is aligned as the original's was.
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape).clone().to(device)
