"""What a user may say about a training run; unset values come from the data set's recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from esper.contracts.errors import ConfigError
from esper.orchestration.growth_config import GrowthConfig
from esper.utils.ranges import (
    AT_LEAST_0,
    BELOW_1,
    COUNT,
    POSITIVE,
    POSITIVE_SHARE,
    SEED,
    SHARE,
    WHOLE,
    Range,
    check_numbers,
)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer of the model's parameters."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "adamw"
    """Which one."""
    lr: float | None = None
    """Peak learning rate; ``None`` takes the recipe's."""
    weight_decay: float | None = None
    """Weight decay; ``None`` takes the recipe's."""
    momentum: float = 0.9
    """Momentum of ``sgd`` and ``rmsprop``, in [0, 1)."""
    nesterov: bool = False
    """Nesterov momentum, for ``sgd``."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the moments of ``adam`` and ``adamw``, each in [0, 1)."""
    eps: float = 1e-8
    """Added to the denominator by all but ``sgd``."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "optimizer.",
            lr=AT_LEAST_0,
            weight_decay=AT_LEAST_0,
            momentum=BELOW_1,
            betas=BELOW_1,
            eps=POSITIVE,
        )


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The course of the learning rate, as a factor of its peak."""

    name: Literal["none", "cosine", "linear", "onecycle", "step"] = "cosine"
    """Shape after the warm-up."""
    warmup: int = 0
    """Steps of linear warm-up before it (``onecycle`` has its own and takes none)."""
    final: float = 0.0
    """Factor at the end of ``cosine`` and ``linear``, in [0, 1]."""
    every: float = 0.3
    """Share of the run between two drops of ``step``, in (0, 1]."""
    drop: float = 0.1
    """Factor of each drop of ``step``, in (0, 1]."""

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "schedule.",
            warmup=COUNT,
            final=SHARE,
            every=POSITIVE_SHARE,
            drop=POSITIVE_SHARE,
        )


@dataclass(frozen=True, kw_only=True)
class EarlyStopConfig:
    """Ending a run whose growth loss no longer falls."""

    patience: int = 0
    """Evaluations without improvement after which the run ends; 0 never ends it early."""
    min_delta: float = 0.0
    """A fall of the growth loss smaller than this is no improvement."""

    def __post_init__(self) -> None:
        check_numbers(self, "early_stop.", patience=COUNT, min_delta=AT_LEAST_0)


@dataclass(frozen=True, kw_only=True)
class LibraryConfig:
    """Kernels of other runs, and what this run passes on."""

    url: str | None = None
    """Address of the library (Urza); ``None`` asks none. Tokens come from the environment."""
    enter: int = 3
    """Kernels of the library that may enter races with their weights, at most; those with the
    largest proven gain first."""
    deposit: bool = False
    """Whether kernels that the run keeps go to the library at its end."""
    trusted_keys: tuple[Path, ...] = ()
    """Files of public keys: only kernels that one of them signed may enter. Empty: any may."""

    def __post_init__(self) -> None:
        check_numbers(self, "library.", enter=COUNT)
        if self.deposit and self.url is None:
            raise ConfigError("library.deposit is True; expected false where library.url is null")


@dataclass(frozen=True, kw_only=True)
class TolariaConfig:
    """One training run."""

    data: str
    """A quick-start's name, or ``package.module:factory`` of a function that returns a
    :class:`~esper.data.bundle.DataBundle`."""
    output: Path
    """Folder of the run; it must not hold another run."""
    data_args: dict[str, Any] = field(default_factory=dict)
    """Options of the data set, for example ``path`` of ``text``."""
    data_dir: Path | None = None
    """Folder to look for data in first, and to download into."""
    model: str | None = None
    """A quick-start model's name, or ``package.module:factory``; ``None`` takes the data set's
    default host. A factory that has a parameter ``bundle`` is given the data."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Options of the model, for example ``hidden``."""
    target_layers: tuple[str, ...] | None = None
    """Qualified names of the layers that may grow; ``None`` takes all that can."""

    seed: int = 0
    """Of everything random: initial weights, batches, the growth split, the races."""
    steps: int | None = None
    """Optimizer steps; ``None`` takes ``epochs``, or the recipe's."""
    epochs: int | None = None
    """Passes over the training split, where ``steps`` is ``None``."""
    batch_size: int | None = None
    """Samples of one optimizer step; ``None`` takes the recipe's."""
    accumulation: int = 1
    """Equal pieces that a batch is computed in, to save memory."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """The optimizer."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The course of the learning rate."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; ``None`` does not clip."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16`` runs forward passes under autocast; weights stay float32."""
    compile: bool = False
    """Train through ``torch.compile``."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, …; ``auto`` takes CUDA where there is some."""

    growth_fraction: float = 0.1
    """Share of the training data held out as growth split, in (0, 0.5]."""
    grow: bool = True
    """Whether the model may grow; off, the same run trains the static host."""
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    """The growth cycle."""
    nursery: Literal["inline", "process"] = "inline"
    """Where races are held: ``inline`` in the training loop, ``process`` in a worker process
    beside it. With a worker the step at which a kernel comes in depends on the machine's speed."""
    library: LibraryConfig = field(default_factory=LibraryConfig)
    """Kernels of other runs, and what this run passes on."""
    early_stop: EarlyStopConfig = field(default_factory=EarlyStopConfig)
    """Ending early."""

    log_every: int = 50
    """Steps between ``step`` records of the log."""
    eval_every: int | None = None
    """Steps between evaluations on the growth split; ``None``: 20 in the whole run."""
    eval_samples: int = 1000
    """Growth-split samples of such an evaluation, at most."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        counts = ("accumulation", "log_every", "eval_samples", "checkpoint_every")
        optional = ("steps", "epochs", "batch_size", "eval_every")
        check_numbers(
            self,
            "",
            **dict.fromkeys((*counts, *optional), WHOLE),
            seed=SEED,
            clip_norm=POSITIVE,
            growth_fraction=Range(words="in (0, 0.5]", low=0, above=True, high=0.5),
        )
